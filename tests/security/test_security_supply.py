"""What the code itself never does (checklist line 35), and values of specifications that stay values (line 29)."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

from support import scene as scenes
from support.scene import SCRIPTS, Scene
from support.sources import by_name, dotted, mentions, text_of, tree_of

scene = scenes.scene
SOURCES = sorted(SCRIPTS.rglob("*.py"))
ROOT = SCRIPTS.parent

# A call of any of these would run text as code, or hand it to a shell.
FORBIDDEN = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "subprocess.getoutput", "pickle.loads"}
FORBIDDEN |= {
    "pickle.load",
    "marshal.loads",
    "marshal.load",
    "shelve.open",
    "yaml.load",
    "yaml.unsafe_load",
    "yaml.full_load",
}


def calls(path: Path) -> list[tuple[str, ast.Call]]:
    return [(dotted(node.func), node) for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call)]


@by_name(SOURCES)
def test_35_nothing_is_evaluated_unpickled_or_run_by_a_shell(path: Path) -> None:
    if mentions(path, "shell", *(name.rpartition(".")[2] for name in FORBIDDEN)):
        for name, call in calls(path):
            assert name not in FORBIDDEN, f"line {call.lineno}: {name}"
            shell = [ast.unparse(word.value) for word in call.keywords if word.arg == "shell"]
            assert shell in ([], ["False"]), f"line {call.lineno}: {name} with shell={shell}"


@by_name(SOURCES)
def test_35_certificates_are_always_checked(path: Path) -> None:
    wrong = r"verify\s*=\s*False|CERT_NONE|check_hostname\s*=|_create_unverified|disable_warnings"
    assert not re.search(wrong, text_of(path))


def test_35_no_program_but_this_python_is_started() -> None:
    """A child of ours runs the interpreter that runs us; nothing is installed or fetched to be run."""
    started = [
        (path.name, ast.unparse(call.args[0]))
        for path in SOURCES
        if mentions(path, "subprocess", "exec", "spawn")
        for name, call in calls(path)
        if re.match(r"(subprocess\.(run|Popen|call|check_\w+)|os\.(exec|spawn|posix_spawn)\w*)$", name)
    ]
    assert started, "the search finds nothing"
    of_the_user = (
        "credentials.py",
        "list(key.command)",
    )  # $VIDEO_TASKS_KEY_<NAME>_COMMAND: the user names it, no file does
    assert started.count(of_the_user) == 1
    assert all(
        command.startswith("[sys.executable, '-I'") for name, command in started if (name, command) != of_the_user
    )


def test_35_the_required_versions_are_those_with_the_fixes() -> None:
    """urllib3 from 2.6 decodes compressed bodies in bounded pieces; PyYAML from 6 loads nothing but data by name."""
    wanted = {"requests": (2, 32), "urllib3": (2, 6), "pyyaml": (6, 0), "jsonschema": (4, 20)}
    for path in (ROOT / "pyproject.toml", SCRIPTS / "create_and_wait.py", SCRIPTS / "inspect_openapi.py"):
        told = dict(re.findall(r'"([a-z0-9]+)>=([0-9.]+)"', path.read_text(encoding="utf-8").lower()))
        for name, least in wanted.items():
            if name in told:
                assert tuple(int(part) for part in told[name].split(".")[:2]) >= least, (path.name, name)
        assert path.name != "pyproject.toml" or set(wanted) <= set(told)


def test_29_defaults_that_name_files_and_addresses_are_values(scene: Scene, tmp_path: Path) -> None:
    canary = scene.elsewhere()
    secret = tmp_path / "secret.txt"
    secret.write_text("secret-5e")
    urls = [
        f"{canary.base_url}/a",
        f"file://{secret}",
        str(secret),
        f"@{secret}",
        "$(id)",
        "${HOME}",
        "!!python/object:os.system",
    ]
    properties = {
        f"p{number}": {"type": "string", "format": "uri", "default": url, "example": url, "externalValue": url}
        for number, url in enumerate(urls)
    }
    schema = {"type": "object", "required": list(properties), "properties": properties}
    example = {"summary": "x", "externalValue": f"{canary.base_url}/example"}
    content = {"application/json": {"schema": schema, "examples": {"a": example}}}
    create = {"requestBody": {"content": content}, "responses": {"200": {"description": "ok"}}}
    info = {"title": "t", "version": "1", "termsOfService": canary.base_url}
    spec = tmp_path / "openapi.json"
    paths = {"/v1/videos/generations": {"post": create}}
    docs = {"externalDocs": {"url": canary.base_url}}
    spec.write_text(json.dumps({"openapi": "3.1.0", "info": info, "paths": paths, **docs}))
    said = scene.run(
        "inspect_openapi", "--openapi", str(spec), "--endpoint", "POST /v1/videos/generations", "--include-template"
    )
    assert said.code == 0, said.out
    assert all(json.dumps(url)[1:-1] in said.out for url in urls)
    assert "secret-5e" not in said.out and canary.accepted == 0

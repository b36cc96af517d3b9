"""What the repository may hold, and how it hangs together: every commit of it is what an installer copies."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from support.sources import REPO, SCRIPTS, by_name, dotted, mentions, text_of, tree_of


def python_files(folder: Path, pattern: str = "**/*.py") -> list[Path]:
    return sorted(folder.glob(pattern))


ENTRY_SCRIPTS = python_files(SCRIPTS, "*.py")
LIBRARY = python_files(SCRIPTS / "videotasks")
SANDBOX = python_files(SCRIPTS / "videotasks_sandbox")
PYPROJECT = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))


# ---------------------------------------------------------------- tables to edit when the house changes

# Room -> the rooms that it may import, for types too; its own modules always. What stands lower knows nothing of what
# stands above it. Rooms that are still to come have their rows already.
ROOMS = {
    "cli": {
        "fleet", "batch", "gallery", "lifecycle", "catalogue", "request", "downloads", "providers", "openapi",
        "network", "runs", "output", "formats", "core",
    },
    "mcp_tools": {
        "batch", "gallery", "lifecycle", "catalogue", "request", "downloads", "providers", "openapi", "network", "runs",
        "output", "formats", "core",
    },
    "fleet": {"batch", "lifecycle", "request", "providers", "runs", "output", "core"},
    "batch": {
        "gallery", "lifecycle", "catalogue", "request", "downloads", "providers", "openapi", "network", "runs",
        "output", "formats", "core",
    },
    "lifecycle": {
        "catalogue", "request", "downloads", "providers", "openapi", "network", "runs", "output", "formats", "core",
    },
    "catalogue": {"providers", "openapi", "network", "formats", "core"},
    "request": {"providers", "formats", "core"},
    "providers": {"network", "formats", "core"},
    "downloads": {"network", "formats", "core"},
    "openapi": {"network", "formats", "core"},
    "network": {"formats", "core"},
    "gallery": {"runs", "output", "core"},
    "runs": {"core"},
    "output": {"core"},
    "formats": set(),
    "core": set(),
}  # fmt: skip

# What still breaks a rule: (module, what it should not import or use) -> why. An entry that is no longer needed fails.
NOT_YET: dict[tuple[str, str], str] = {}

# Touch no network, no clock and no disk: their tests need no machine. A room stands for all of its modules.
PURE = {
    "formats", "request", "core.errors", "core.redaction", "core.safe_text", "core.task", "lifecycle.create_answer",
    "lifecycle.look_queue", "lifecycle.poll_schedule", "network.origins", "network.ssrf_guard",
    "providers.classify_error", "providers.normalize", "providers.profile", "runs.identity",
}  # fmt: skip
# A file that the user or the caller names.
READS_THE_DISK = {
    "request.local_files", "formats.matroska", "formats.media_check", "formats.mp4", "formats.mp4_boxes",
    "formats.riff", "formats.transport_stream",
}  # fmt: skip
IMPURE_IMPORTS = {
    "asyncio", "fcntl", "glob", "http", "io", "msvcrt", "os", "pathlib", "requests", "rich", "select", "shutil",
    "signal", "socket", "ssl", "subprocess", "tempfile", "threading", "time", "urllib.request", "urllib3",
}  # fmt: skip

NETWORK = {"asyncio", "ftplib", "http", "requests", "socket", "socketserver", "ssl", "urllib.request", "urllib3"}

# Third-party libraries are imported inside functions: --help loads only the standard library. These modules consist
# of one library and are themselves imported inside functions.
LIBRARY_AT_TOP = {
    "network.connection": {"requests", "urllib3"},
    "output.live_line": {"rich"},
    "mcp_tools.front": {"mcp", "mcp_types", "anyio"},
}
THIRD_PARTY = {
    "requests", "urllib3", "jsonschema", "yaml", "jmespath", "rich", "jinja2", "mcp", "mcp_types", "anyio", "obstore",
    "dask", "distributed",
}  # fmt: skip
# Libraries that only these scripts need: uv fetches for a create what a create needs.
OF_SOME_SCRIPTS = {"jinja2": {"gallery.py", "batch.py", "batch_fleet.py", "ai_video_tasks.py"}}

# Keys are read in credentials.py. Elsewhere a variable is read by its literal name, and only these:
PLAIN_VARIABLES = re.compile(
    r"VIDEO_TASKS_(ARTIFACTS|PROVIDERS|PRICES|SANDBOX\w*)|AWS_ALLOW_HTTP|UV(_\w+)?|XDG_(CACHE|STATE)_HOME|LOCALAPPDATA|HOME|TERM|COLUMNS|NO_COLOR"
    r"|PYTHON\w+|CI"
)
WHOLE_ENVIRONMENT = {"providers.credentials", "runs.workspace"}  # workspace takes it as a parameter for its tests


# What runs on a Python too old for the rest, to say so in one sentence.
_CLI = SCRIPTS / "videotasks" / "cli"
PARSES_ON_OLD_PYTHON = [*ENTRY_SCRIPTS, _CLI / "bootstrap.py", _CLI / "failures.py"]


# ---------------------------------------------------------------- reading the repository


def tracked() -> list[Path]:
    """What is committed; in a copy without git, every file but caches."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPO, capture_output=True, text=True, check=False)
    if listed.returncode == 0 and listed.stdout:
        return [REPO / name for name in listed.stdout.split("\0") if name and (REPO / name).exists()]
    skipped = {".git", ".venv", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", "node_modules"}
    return [path for path in REPO.rglob("*") if path.is_file() and not skipped & set(path.parts)]


TRACKED = tracked()


def short(path: Path) -> str:
    return path.relative_to(REPO).as_posix()


class Import:
    """One imported module: its dotted name, its line, and whether it is imported when the file is."""

    def __init__(self, name: str, line: int, at_top: bool) -> None:
        self.name, self.line, self.at_top = name, line, at_top

    def within(self, modules: set[str]) -> bool:
        return any(self.name == module or self.name.startswith(module + ".") for module in modules)


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and dotted(node.test).endswith("TYPE_CHECKING")


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """What stands in the bodies of a statement; no import hides in an expression, and those are nine nodes of ten."""
    for body in ("body", "orelse", "finalbody", "handlers", "cases"):
        yield from getattr(node, body, ())


@cache
def imports_of(path: Path, types: bool = False) -> list[Import]:
    """Every import that happens at run time, with `types` those for type checkers as well; relative ones in full."""
    package = list(path.relative_to(SCRIPTS).parent.parts)

    def walk(node: ast.AST, at_top: bool) -> Iterator[Import]:
        for child in statements(node):
            if is_type_checking(child) and not types:
                for other in child.orelse:  # type: ignore[attr-defined]
                    yield from walk(other, at_top)
            elif isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(alias.name, child.lineno, at_top)
            elif isinstance(child, ast.ImportFrom):
                base = package[: len(package) - child.level + 1] if child.level else []
                module = ".".join([*base, *([child.module] if child.module else [])])
                yield Import(module, child.lineno, at_top)
                for alias in child.names:
                    yield Import(f"{module}.{alias.name}", child.lineno, at_top)
            else:
                inner = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef))
                yield from walk(child, at_top and not inner)

    return list(walk(tree_of(path), True))


def module_name(path: Path) -> str:
    """'network.client' for scripts/videotasks/network/client.py."""
    return ".".join(path.relative_to(SCRIPTS / "videotasks").with_suffix("").parts)


# ---------------------------------------------------------------- packaging

BLOCK = re.compile(r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$")  # PEP 723's own


def script_block(path: Path) -> dict[str, object] | None:
    blocks = [m for m in BLOCK.finditer(path.read_text(encoding="utf-8")) if m.group("type") == "script"]
    if not blocks:
        return None
    (block,) = blocks
    lines = block.group("content").splitlines()
    return tomllib.loads("\n".join(line[2:] if line.startswith("# ") else line[1:] for line in lines))


def test_there_are_scripts_to_check() -> None:
    assert len(ENTRY_SCRIPTS) >= 7
    assert len(LIBRARY) >= 20
    assert len(SANDBOX) >= 5
    assert len(TRACKED) >= 60


@by_name(ENTRY_SCRIPTS)
def test_script_block_equals_pyproject(path: Path) -> None:
    # Without a block `uv run` takes the installed skill for a project and writes .venv and a lock file into it.
    block = script_block(path)
    assert block is not None, "no PEP 723 block"
    fleet = path.name == "batch_fleet.py"  # obstore has no wheel for less
    assert block["requires-python"] == (">=3.11" if fleet else PYPROJECT["project"]["requires-python"])
    if path.name == "sandbox.py":  # it speaks for itself, without the client's libraries
        assert set(block["dependencies"]) < set(PYPROJECT["project"]["dependencies"])
        return
    others = {name for name, scripts in OF_SOME_SCRIPTS.items() if path.name not in scripts}
    needed = [each for each in PYPROJECT["project"]["dependencies"] if re.split(r"\W", each)[0] not in others]
    named = {"mcp_server.py": "mcp", "batch_fleet.py": "fleet"}.get(path.name)
    extra = PYPROJECT["project"]["optional-dependencies"][named] if named else []
    assert block["dependencies"] == needed + [each.partition(";")[0] for each in extra]


@by_name(PARSES_ON_OLD_PYTHON)
def test_parses_on_an_old_python(path: Path) -> None:
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 8))


def test_no_file_that_an_installer_drops() -> None:
    # skills 1.4.x drops names that begin with an underscore, every version drops metadata.json. So there is no
    # __init__.py in scripts/ either: what is imported is the same with every installer.
    dropped = [
        short(path)
        for path in TRACKED
        if path.name == "metadata.json"
        or path.name.startswith("_")
        or any(part.startswith("_") for part in path.relative_to(REPO).parts[:-1])
    ]
    assert dropped == []


def test_no_hidden_file_in_the_folders_that_run() -> None:
    hidden = [
        short(path)
        for path in TRACKED
        if path.relative_to(REPO).parts[0] in {"scripts", "shared", "references"}
        and any(part.startswith(".") for part in path.relative_to(REPO).parts)
    ]
    assert hidden == []


def test_no_symlink_and_no_lock_file() -> None:
    assert [short(path) for path in TRACKED if path.is_symlink()] == []
    lock_names = re.compile(r"\.lock$|-lock\.(json|yaml)$|^lock\.json$")
    assert [short(path) for path in TRACKED if lock_names.search(path.name)] == []


# Built from pieces, so that this file is no finding of its own.
FORBIDDEN = {
    "package index": re.compile(
        "|".join(["pypi\\.org/" + "simple", "files\\.python" + "hosted", "registry\\.npm" + "js"])
    ),
    "path of a development machine": re.compile(r"(?<![\w.*}\])])/(" + "work|root" + r")/"),
}


@pytest.mark.parametrize("kind", FORBIDDEN)
def test_no_trace_of_a_machine(kind: str) -> None:
    found = []
    for path in TRACKED:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture
        found += [f"{short(path)}: {match.group()}" for match in FORBIDDEN[kind].finditer(text)]
    assert found == []


def test_the_patterns_find_what_they_forbid() -> None:
    assert FORBIDDEN["package index"].search("--index-url https://pypi.org/" + "simple")
    assert FORBIDDEN["path of a development machine"].search('open("' + "/work" + '/x")')
    assert not FORBIDDEN["path of a development machine"].search("https://example.com" + "/work" + "/x")


# ---------------------------------------------------------------- layers


def room_of(name: str) -> str:
    return name.partition(".")[0]


def is_pure(name: str) -> bool:
    return bool({name, room_of(name)} & PURE) and name not in READS_THE_DISK


@cache
def library_graph(types: bool = False) -> dict[str, set[str]]:
    """Module -> the modules that it imports: at the top, inside functions, with `types` for type checkers, too."""
    names = {module_name(path) for path in LIBRARY}
    graph: dict[str, set[str]] = {}
    for path in LIBRARY:
        seen = {
            found.name.removeprefix("videotasks.") for found in imports_of(path, types) if found.within({"videotasks"})
        }
        graph[module_name(path)] = (seen & names) - {module_name(path)}
    return graph


def find_cycle(graph: dict[str, set[str]]) -> list[str]:
    done: set[str] = set()

    def visit(name: str, trail: list[str]) -> list[str]:
        if name in trail:
            return [*trail[trail.index(name) :], name]
        if name not in done:
            for other in sorted(graph[name]):
                if cycle := visit(other, [*trail, name]):
                    return cycle
            done.add(name)
        return []

    for name in sorted(graph):
        if cycle := visit(name, []):
            return cycle
    return []


def test_every_module_is_in_a_room() -> None:
    assert {
        module_name(path) for path in LIBRARY if room_of(module_name(path)) not in ROOMS or "." not in module_name(path)
    } == set()
    assert {room for row in ROOMS.values() for room in row} <= set(ROOMS)
    assert find_cycle(ROOMS) == []


@by_name(LIBRARY)
def test_a_room_imports_only_what_its_row_allows(path: Path) -> None:
    name = module_name(path)
    allowed = {room_of(name), *ROOMS[room_of(name)]}
    others = library_graph(types=True)[name]
    assert {other for other in others if room_of(other) not in allowed and (name, other) not in NOT_YET} == set()


def test_arrows_point_one_way() -> None:
    # Those for type checkers are left out: a connection names the client that it reports to, which makes connections.
    graph = {
        name: {other for other in others if (name, other) not in NOT_YET} for name, others in library_graph().items()
    }
    assert " -> ".join(find_cycle(graph)) == ""


def test_a_cycle_would_be_found() -> None:
    assert find_cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]


@cache
def breaches(path: Path) -> frozenset[tuple[str, str]]:
    """(module, what it should not import or use), apart from the arrows."""
    name = module_name(path)
    room = room_of(name)
    found = set()
    if room not in ("network", "fleet"):  # the fleet's are those of its libraries: to its store and to its workers
        found |= {each.name.partition(".")[0] for each in imports_of(path) if each.within(NETWORK)}
    if room != "cli" and any(each.within({"argparse"}) for each in imports_of(path, types=True)):
        found.add("argparse")
    if room != "output" and name not in ("cli.bootstrap", "cli.failures") and mentions(path, "print", "sys.std"):
        found |= set(writes_to(tree_of(path)))
    return frozenset((name, what) for what in found)


def writes_to(tree: ast.AST) -> Iterator[str]:
    """`stdout` and `stderr`, wherever one is written to or handed on; whether it is a terminal may be asked."""
    asked = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "isatty":
            asked.add(id(node.value))
        elif isinstance(node, ast.Compare):
            asked.add(id(node.left))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and dotted(node) in {"sys.stdout", "sys.stderr"} and id(node) not in asked:
            yield node.attr
        elif isinstance(node, ast.Call) and dotted(node.func) == "print":
            yield "stdout"


def test_writing_is_seen() -> None:
    assert sorted(writes_to(ast.parse("sys.stdout.write(x)\nprint(x)\nf(sys.stderr)"))) == [
        "stderr",
        "stdout",
        "stdout",
    ]
    assert list(writes_to(ast.parse("sys.stdout is None or sys.stderr.isatty()"))) == []


@by_name(LIBRARY)
def test_connections_streams_and_options_are_where_they_belong(path: Path) -> None:
    """Only `network` opens connections, only `output` and bootstrap write to the streams, only `cli` reads options."""
    assert not breaches(path) - set(NOT_YET)


def test_what_is_not_yet_right_is_still_wrong() -> None:
    """Else its entry goes: the list only ever shrinks."""
    wrong = {breach for path in LIBRARY for breach in breaches(path)}
    for name, others in library_graph(types=True).items():
        wrong |= {(name, other) for other in others if room_of(other) not in {room_of(name), *ROOMS[room_of(name)]}}
    for arrow in set(NOT_YET) - wrong:
        spared = set(NOT_YET) - {arrow}
        if find_cycle(
            {name: {o for o in others if (name, o) not in spared} for name, others in library_graph().items()}
        ):
            wrong.add(arrow)
    assert set(NOT_YET) - wrong == set()


@by_name([path for path in LIBRARY if is_pure(module_name(path))])
def test_pure_module_touches_no_machine(path: Path) -> None:
    assert [f"{found.name}:{found.line}" for found in imports_of(path) if found.within(IMPURE_IMPORTS)] == []
    if not mentions(path, "open", "now", "today"):
        return
    calls = [ast.unparse(node.func) for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call)]
    assert [call for call in calls if call == "open" or call.endswith((".now", ".utcnow", ".today"))] == []


@by_name([*ENTRY_SCRIPTS, *LIBRARY])
def test_libraries_are_imported_where_they_are_used(path: Path) -> None:
    allowed: set[str] = set()
    if path in LIBRARY:
        allowed = LIBRARY_AT_TOP.get(module_name(path), set())
    at_top = [found for found in imports_of(path) if found.at_top]
    assert [f"{found.name}:{found.line}" for found in at_top if found.within(THIRD_PARTY - allowed)] == []
    eager = {f"videotasks.{name}" for name in LIBRARY_AT_TOP}
    assert [f"{found.name}:{found.line}" for found in at_top if found.within(eager)] == []


@by_name(SANDBOX)
def test_the_sandbox_imports_nothing_of_the_client(path: Path) -> None:
    # Else client and stand-in share every misreading of a provider.
    assert [f"{found.name}:{found.line}" for found in imports_of(path) if found.within({"videotasks"})] == []


@by_name([*(path for path in ENTRY_SCRIPTS if path.name != "sandbox.py"), *LIBRARY])
def test_the_client_starts_the_sandbox_only_on_demand(path: Path) -> None:
    found = [found for found in imports_of(path) if found.at_top and found.within({"videotasks_sandbox"})]
    assert [f"{each.name}:{each.line}" for each in found] == []


SAFE_PATH = """\
# With -I, -P or PYTHONSAFEPATH Python does not look beside the script by itself.
if sys.flags.isolated or getattr(sys.flags, "safe_path", False):
    sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
"""


# ai_video_tasks.py finds its siblings also where it is imported from a wheel.
@by_name([*(path for path in ENTRY_SCRIPTS if path.name != "ai_video_tasks.py"), *LIBRARY, *SANDBOX])
def test_the_search_path_is_left_alone(path: Path) -> None:
    # sys.path itself; the caches and hooks beside it are how our bytecode stays out of the skill's folder.
    text = path.read_text(encoding="utf-8")
    if path in ENTRY_SCRIPTS:  # they alone may do what Python does without -I, -P and PYTHONSAFEPATH
        assert SAFE_PATH in text
        text = text.replace(SAFE_PATH, "")
    assert not re.search(r"\bsys\.path\b(?!_)(?! *:$)", text, re.M)  # walking through it is no change


# ---------------------------------------------------------------- keys and names


def environment_reads(tree: ast.AST) -> Iterator[tuple[str | None, int]]:
    """(variable, line) of each literal read; (None, line) where the environment is used in any other way."""
    literal: set[int] = set()
    for node in ast.walk(tree):
        target: ast.AST | None = None
        name: ast.AST | None = None
        if isinstance(node, ast.Call) and node.args and dotted(node.func) in {"os.environ.get", "os.getenv"}:
            target, name = node.func, node.args[0]
        elif isinstance(node, ast.Subscript) and dotted(node.value) == "os.environ":
            target, name = node.value, node.slice
        elif isinstance(node, ast.Compare) and dotted(node.comparators[0]) == "os.environ":
            target, name = node.comparators[0], node.left
        if target is not None and isinstance(name, ast.Constant) and isinstance(name.value, str):
            literal.update(id(inner) for inner in ast.walk(target))
            yield name.value, node.lineno  # type: ignore[attr-defined]
    for node in ast.walk(tree):
        whole = isinstance(node, ast.Attribute) and dotted(node) in {"os.environ", "os.getenv", "os.environb"}
        bare = (
            isinstance(node, ast.ImportFrom)
            and node.module == "os"
            and {a.name for a in node.names} & {"environ", "getenv"}
        )
        if (whole and id(node) not in literal) or bare:
            yield None, node.lineno  # type: ignore[attr-defined]


@by_name([*ENTRY_SCRIPTS, *LIBRARY])
def test_keys_are_read_in_one_module(path: Path) -> None:
    if path in LIBRARY and module_name(path) == "providers.credentials":
        return
    reads = list(environment_reads(tree_of(path))) if mentions(path, "environ", "getenv") else []
    if path in LIBRARY and module_name(path) in WHOLE_ENVIRONMENT:
        reads = [(name, line) for name, line in reads if name is not None]
    assert [(name, line) for name, line in reads if name is None or not PLAIN_VARIABLES.fullmatch(name)] == []


def test_environment_reads_are_seen() -> None:
    lines = ["os.environ.get('A')", "os.environ['B']", "os.getenv('C')", "'D' in os.environ"]
    code = "\n".join([*lines, "dict(os.environ)", "os.environ.get(x)"])
    assert [name for name, _ in environment_reads(ast.parse(code))] == ["A", "B", "C", "D", None, None]


def provider_names() -> list[str]:
    return sorted(path.stem for path in (REPO / "shared" / "providers").glob("*.yaml"))


def words_of(path: Path) -> Iterator[tuple[str, int]]:
    """Strings and identifiers of the code, docstrings left out: prose may say where a datum comes from."""
    tree = tree_of(path)
    prose = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.value, node.lineno
        elif isinstance(node, ast.Name):
            yield node.id, node.lineno
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name, node.lineno


ENGLISH = {"openai-compatible", "together"}  # a name that is a word of the language, too


@by_name(LIBRARY)
def test_no_provider_is_named_in_code(path: Path) -> None:
    # A provider is data: a name in code would be a branch that a new provider cannot have.
    spelled = [re.escape(name).replace("\\-", "[-_. ]?") for name in provider_names() if name not in ENGLISH]
    assert len(spelled) >= 5
    names = re.compile(rf"(?<![a-z])({'|'.join(spelled)})(?![a-z])", re.IGNORECASE)
    if not names.search(re.sub(r"\\[a-z]", " ", text_of(path))):
        return
    assert [f"{word[:60]!r}:{line}" for word, line in words_of(path) if names.search(word)] == []

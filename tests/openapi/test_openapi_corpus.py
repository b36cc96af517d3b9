"""Real specifications, judged by a converter and a YAML reader that share nothing with ours. Skipped without the data.

The judge converts a whole document at once by the letter of the specifications and lets jsonschema resolve references.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jsonschema
import pytest
import yaml
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from videotasks.openapi import contract, document, endpoints, operations
from videotasks.openapi.convert import Schemas
from videotasks.openapi.source import SpecError
from videotasks.openapi.template import make_template
from videotasks.openapi.validation import validate_operation

pytestmark = pytest.mark.slow

# ---------------------------------------------------------------- the judge


class CoreLoader(yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader):  # type: ignore[misc]
    """PyYAML with the resolvers of YAML 1.2's core schema."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012


for tag, pattern, first in (
    ("bool", "^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("null", "^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("int", "^[-+]?[0-9]+$", "-+0123456789"),
    ("float", r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$", "-+.0123456789"),
    ("merge", "^<<$", "<"),
):
    CoreLoader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), list(first))
CoreLoader.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(loader.construct_scalar(node)))


def judge_load(path: Path) -> Any:
    raw = path.read_bytes()
    try:
        return json.loads(raw)
    except ValueError:
        return json.loads(json.dumps(yaml.load(raw, Loader=CoreLoader)))  # noqa: S506 - a safe loader; keys become text


def judge_convert(node: Any, letter_3_0: bool) -> Any:
    if isinstance(node, list):
        return [judge_convert(entry, letter_3_0) for entry in node]
    if not isinstance(node, dict):
        return node
    if isinstance(node.get("$ref"), str) and letter_3_0:
        return {"$ref": node["$ref"]}
    data = ("example", "examples", "default", "enum", "const")
    out = {key: value if key in data else judge_convert(value, letter_3_0) for key, value in node.items()}
    if isinstance(node.get("properties"), dict):
        out["properties"] = {name: judge_convert(value, letter_3_0) for name, value in node["properties"].items()}
        if isinstance(out.get("required"), list):
            hidden = {n for n, v in node["properties"].items() if isinstance(v, dict) and v.get("readOnly") is True}
            out["required"] = [name for name in out["required"] if name not in hidden]
    if isinstance(out.get("required"), bool):
        del out["required"]
    for exclusive, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(out.get(exclusive), bool) and out.pop(exclusive) and bound in out:
            out[exclusive] = out.pop(bound)
    if isinstance(out.get("pattern"), str):
        try:
            re.compile(out["pattern"])
        except re.error:
            del out["pattern"]
    if out.get("type") == "file":
        del out["type"]
    for key in ("$id", "$schema", "discriminator", "id"):
        if isinstance(out.get(key), str):
            del out[key]
    return {"anyOf": [{"type": "null"}, out]} if out.pop("nullable", None) is True else out


class Judge:
    def __init__(self, path: Path) -> None:
        loaded = judge_load(path)
        converted = judge_convert(loaded, not str(loaded.get("openapi", "")).startswith("3.1"))
        self.registry: Any = Registry().with_resource("urn:x", Resource(contents=converted, specification=DRAFT202012))

    def errors(self, operation: operations.Operation, media: str, value: Any) -> list[str]:
        path, kind = (quote(text.replace("~", "~0").replace("/", "~1"), safe="~") for text in (operation.path, media))
        pointer = f"/paths/{path}/{operation.method.lower()}/requestBody/content/{kind}/schema"
        schema = {"$ref": "urn:x#" + pointer}
        found = jsonschema.Draft202012Validator(schema, registry=self.registry).iter_errors(value)
        return [error.message[:200] for error in found]


# ---------------------------------------------------------------- the documents


def specifications(folder: Path) -> list[Path]:
    found = []
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".json", ".yaml", ".yml") and path.name != "traps.json":
            try:
                document.load(str(path))
            except SpecError:
                continue  # a part of a multi-file specification
            found.append(path)
    return found


def is_video(path: Path, operation: operations.Operation) -> bool:
    words = f"{path} {operation.path} {operation.text('summary')} {' '.join(operation.tags)}".lower()
    return "video" in words and operation.method in ("POST", "PUT")


def top_level_prompt(loaded: document.Document, schema: Any, depth: int = 0) -> bool:
    """Whether the body has a text field `prompt`, found by a walk of its own."""
    schema = loaded.deref(schema)
    if not isinstance(schema, dict) or depth > 6:
        return False
    prompt = loaded.deref((schema.get("properties") or {}).get("prompt"))
    if isinstance(prompt, dict) and prompt.get("type") in ("string", ["string", "null"]):
        return True
    return any(
        top_level_prompt(loaded, part, depth + 1) for key in ("allOf", "oneOf", "anyOf") for part in schema.get(key, ())
    )


def test_every_video_body_gets_a_template_that_the_judge_accepts(
    real_data: Path, no_outside_network: list[str]
) -> None:
    total = valid = videos = 0
    wrong: list[str] = []
    for path in specifications(real_data / "openapi"):
        loaded = document.load(str(path))
        judge = Judge(path)
        schemas = Schemas(loaded)
        for operation in operations.iterate(loaded):
            raw_body = operation.raw.get("requestBody")
            for media in operation.request_media():
                if not (operations.is_json(media.type) or "form" in media.type):
                    continue
                total += 1
                video = is_video(path, operation)
                videos += video
                made = make_template(schemas, schemas.convert(media.schema), media.examples)
                problems = list(made.problems)
                # The judge's pointers know no references above the schema and no Swagger 2.0.
                by_pointer = isinstance(raw_body, dict) and "$ref" not in raw_body
                single_file = path.parent.name != "shotstack-multifile"
                if by_pointer and single_file and "schema" in raw_body["content"][media.type]:
                    problems += judge.errors(operation, media.type, made.value)
                valid += not problems
                if video:
                    wrong += [f"{path.name} {operation.endpoint}: {problem}" for problem in problems]
                    if top_level_prompt(loaded, media.schema) and "prompt" not in made.value:
                        wrong.append(f"{path.name} {operation.endpoint}: no prompt")
    assert wrong == []
    assert videos >= 100 and valid / total >= 0.97, f"{valid} of {total}"
    assert no_outside_network == []


def test_our_validation_accepts_what_the_judge_accepts_and_refuses_what_it_refuses(real_data: Path) -> None:
    """Each template of a video body, whole and with one field of a wrong type."""
    compared = 0
    for path in specifications(real_data / "openapi"):
        if path.parent.name == "shotstack-multifile":
            continue
        loaded = document.load(str(path))
        judge, schemas = Judge(path), Schemas(loaded)
        for operation in operations.iterate(loaded):
            media = operation.request_media()[:1]
            if not (media and is_video(path, operation) and operations.is_json(media[0].type)):
                continue
            made = make_template(schemas, schemas.convert(media[0].schema), media[0].examples).value
            assert validate_operation(operation, made).ok, f"{path.name} {operation.endpoint}"
            for name in list(made)[:12]:
                broken = {**made, name: {"wrong": ["type"]}}
                ours = validate_operation(operation, broken, allow_unknown_fields=True).ok
                assert ours == (not judge.errors(operation, media[0].type, broken)), f"{path.name} {name}"
                compared += 1
            assert not validate_operation(operation, {**made, "no_such_field_": 1}).ok or "true" in json.dumps(
                loaded.deref(media[0].schema)
            )
    assert compared > 200


def test_every_endpoint_has_a_contract(real_data: Path, no_outside_network: list[str]) -> None:
    for path in specifications(real_data / "openapi"):
        loaded = document.load(str(path))
        schemas = Schemas(loaded)
        for category in ("videos", "images"):
            endpoints.creating(loaded, category)
        for index, operation in enumerate(operations.iterate(loaded)):
            if index % 5 == 0 or operation.has_body():
                json.dumps(contract.describe(operation, schemas, contract.LEVELS[0]), default=str)
    assert no_outside_network == []


def test_known_traps(real_data: Path) -> None:
    for trap in json.loads((real_data / "openapi" / "traps.json").read_text(encoding="utf-8")):
        path = real_data / "openapi" / trap["file"]
        if trap["kind"] == "value":
            node: Any = document.load(str(path)).root
            for part in trap["pointer"].split("/")[1:]:
                node = node[int(part)] if isinstance(node, list) else node[part.replace("~1", "/")]
            assert node == trap["expect"], trap["file"]


def test_several_files_resolve_but_for_the_one_dangling_reference(real_data: Path) -> None:
    loaded = document.load(str(real_data / "openapi" / "shotstack-multifile" / "api.oas3.yaml"))
    seen: set[int] = set()
    stack: list[Any] = [loaded.root]
    while stack:
        node = stack.pop()
        if isinstance(node, dict) and id(node) not in seen:
            seen.add(id(node))
            stack.extend(node.values())
            if isinstance(node.get("$ref"), str):
                stack.append(loaded.deref(node))
        elif isinstance(node, list):
            stack.extend(node)
    assert len(loaded.warnings) == 1 and "edit.yaml" in loaded.warnings[0]

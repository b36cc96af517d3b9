"""The inspect_openapi command: endpoints, contract, template and validation, as one JSON document."""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import re
import sys
from collections.abc import Callable
from typing import Any

from videotasks.core.errors import Category, TaskError, error_fields
from videotasks.core.json_values import no_constant
from videotasks.core.safe_text import one_line
from videotasks.openapi import contract, document, endpoints, operations, polling
from videotasks.openapi.convert import Schemas
from videotasks.openapi.document import Document
from videotasks.openapi.operations import Operation
from videotasks.openapi.source import SpecError
from videotasks.output import next_command
from videotasks.output.reporter import Reporter, document_text

SCRIPT = "inspect_openapi.py"
MAX_OUTPUT = 7_900  # characters; what a reader of 8,000 can take, with its newline
ROWS = 40  # endpoints listed unless --limit says otherwise
MAX_PAYLOAD = 20_000_000  # bytes; a data URI of an image is a few


def inspect_openapi(args: argparse.Namespace) -> int:
    """Run the command; prints one JSON document with `ok`. Exit code 1 for bad input and for an invalid payload."""
    try:
        found = _answer(args)
    except TaskError as error:
        return _fail(error, args)
    except RecursionError:
        return _fail(SpecError("the specification is nested too deeply", expected="a specification"), args)
    except MemoryError:
        return _fail(SpecError("the specification does not fit into memory", expected="a smaller one"), args)
    reporter = Reporter()
    for wrong in found["errors"][:10] if not found["ok"] else ():
        reporter.people(f"not valid, nothing was sent: {wrong['message']}")
    reporter.document(found, indent=args.json_indent)
    return int(found["exit_code"])


def _answer(args: argparse.Namespace) -> dict[str, Any]:
    """The document to print."""
    if args.limit is not None and args.limit < 0:
        raise TaskError(Category.USAGE, "--limit is below 0", expected="0 for everything, or a number of rows")
    wants_one = bool(args.endpoint or args.include_template) or args.validate is not None
    if not (wants_one or args.list_endpoints or args.search or args.make_profile):
        raise SpecError(
            "Provide --endpoint or use --list-endpoints only",
            expected='--list-endpoints, --search WORD, or --endpoint "POST /path"',
            next_step="start with --list-endpoints",
        )
    payload = _payload(args.validate) if args.validate is not None else None
    spec = document.load(args.openapi)
    gc.freeze()  # the document lives until the end; walking its million objects again and again finds nothing
    found: dict[str, Any] = {"ok": True, "exit_code": 0}
    if args.make_profile:
        return _fitted({**found, **_profile(spec, args), **_warnings(spec, args)}, args)
    if args.search:
        found.update(_searched(spec, args))
    elif args.list_endpoints:
        found.update(_listed(spec, args))
    if wants_one:
        operation = _operation(spec, args)
        if args.validate is None:
            return _contract(spec, operation, found, args)
        found.update(_validated(operation, payload, args))
    found.update(_warnings(spec, args))
    return _fitted(found, args)


# -- listing --


def _listed(spec: Document, args: argparse.Namespace) -> dict[str, Any]:
    """The seed's lists, from the navigation or from the specification, and a table of what each endpoint is."""
    named, source, how, warnings = _named(spec, args)
    streams = endpoints.Streams(spec)
    rows: dict[str, Operation | None] = {}
    default: dict[str, None] = {}
    streaming: dict[str, None] = {}
    for name, operation in named.items():
        method, _, path = name.partition(" ")
        stream = streams.path_for(method, path)
        rows.setdefault(f"{method} {endpoints.polling_path(spec, method, path) or path}", operation)
        if stream:
            streaming[f"{method} {stream}"] = None
        default[f"{method} {stream or path}"] = None
    plain = list(rows)
    poll = polling.find_poll(spec, next(filter(None, named.values()), None))

    def listing(limit: int | None) -> dict[str, Any]:
        made: dict[str, Any] = {
            "category": args.category,
            "source": source,
            "default_result_mode": "sse" if streaming else "polling",
            "default_endpoints": list(default)[:limit],
            "sse_endpoints": list(streaming)[:limit],
            "polling_endpoints": plain[:limit],
            **contract.poll_fields(poll),
            "found_by": how,
            "total": len(plain),
            "endpoints": [_row(operation) for operation in list(rows.values())[:limit] if operation],
            "server_url": operations.server_url(spec, None),
        }
        if not plain:
            none = f"no operation makes {args.category}"
            made["note"] = none if spec.path_names() else operations.without_operations(spec)
        elif how in ("generic", "all"):
            these = "its create operations" if how == "generic" else "all operations with a body"
            made["note"] = f"nothing in the specification says {args.category}; these are {these}"
        if warnings:
            made["warnings"] = warnings
        made["next"] = _next(args, "--endpoint", plain[0], "--include-template") if plain else None
        return made

    return _rows_that_fit(listing, len(plain), args)


def _named(spec: Document, args: argparse.Namespace) -> tuple[dict[str, Operation | None], str, str, list[str]]:
    """Endpoints with their operations, their source, how they were told, and warnings."""
    warnings: list[str] = []
    if args.docs:
        from videotasks.openapi import navigation

        tree, origin = navigation.load(args.docs)
        found, warnings = navigation.endpoints(tree, origin, spec, args.category)
        if found:
            return found, origin, "navigation", warnings
        warnings.append(f"the navigation has no {args.category} endpoints; taken from the specification")
    created, how = endpoints.creating(spec, args.category)
    return {operation.endpoint: operation for operation in created}, spec.origin, how, warnings


def _rows_that_fit(
    listing: Callable[[int | None], dict[str, Any]], total: int, args: argparse.Namespace
) -> dict[str, Any]:
    """The listing with as many rows as were asked for, or as fit into one output."""
    if args.limit is not None:
        return listing(args.limit or None)
    made: dict[str, Any] = {}
    for limit in (ROWS, 30, 22, 16, 12, 8, 5):
        made = listing(limit)
        if limit < total:
            made["left_out"] = f"{total - limit} of {total}; --search WORDS narrows, --limit 0 shows everything"
        if len(document_text(made, args.json_indent)) <= MAX_OUTPUT - 1_500:  # room for warnings
            break
    return made


def _searched(spec: Document, args: argparse.Namespace) -> dict[str, Any]:
    found = endpoints.search(spec, args.search)

    def listing(limit: int | None) -> dict[str, Any]:
        made: dict[str, Any] = {
            "search": args.search,
            "source": spec.origin,
            "total": len(found),
            "endpoints": [_row(operation) for operation in found[:limit]],
            "next": _next(args, "--endpoint", found[0].endpoint, "--include-template") if found else None,
        }
        if not found:
            made["note"] = "no operation holds all these words; try fewer, or --list-endpoints"
        return made

    return _rows_that_fit(listing, len(found), args)


def _row(operation: Operation) -> dict[str, Any]:
    summary, deprecated = one_line(operation.text("summary"), 120), operation.raw.get("deprecated") is True
    row = {"endpoint": one_line(operation.endpoint, 300), "summary": summary, "deprecated": deprecated}
    return {name: value for name, value in row.items() if value}


# -- one endpoint --


def _operation(spec: Document, args: argparse.Namespace) -> Operation:
    if args.endpoint:
        return operations.find(spec, args.endpoint)
    created, how = endpoints.creating(spec, args.category)
    if len(created) == 1 and how != "all":
        return created[0]
    everything = [operation for operation in operations.iterate(spec) if operation.has_body()]
    if len(everything) == 1:
        return everything[0]
    raise SpecError(
        "Provide --endpoint: the specification has more than one operation that could be meant",
        expected='--endpoint "POST /path"',
        next_step="run with --list-endpoints",
        detail={"candidates": [operation.endpoint for operation in created[:10]]},
    )


def _contract(spec: Document, operation: Operation, found: dict[str, Any], args: argparse.Namespace) -> dict[str, Any]:
    """The contract with as much detail as fits; everything with --limit 0."""
    schemas, pairs = Schemas(spec), contract.pairs_of(operation)
    template = _template(operation, schemas, args) if args.include_template else {}
    levels: tuple[contract.Detail, ...] = (contract.FULL,) if args.limit == 0 else contract.LEVELS
    if args.limit:
        levels = tuple(level._replace(fields=args.limit) for level in levels)
    step = ("--validate", "payload.json") if args.include_template else ("--include-template",)
    made: dict[str, Any] = {}
    length = 0
    for index, level in enumerate(levels):
        if length > 4 * MAX_OUTPUT and index < len(levels) - 2:
            length //= 3  # no use in making what will be too long again
            continue
        made = {**found, **contract.describe(operation, schemas, level, pairs), **template, **_warnings(spec, args)}
        if index and args.limit is None:
            made["shortened"] = "descriptions or fields are left out; --limit 0 shows everything"
        made["next"] = _next(args, "--endpoint", operation.endpoint, *step)
        length = 0 if args.limit == 0 else len(document_text(made, args.json_indent))
        if length <= MAX_OUTPUT:
            return made
    return _fitted(made, args)


def _template(operation: Operation, schemas: Schemas, args: argparse.Namespace) -> dict[str, Any]:
    from videotasks.openapi.document import MISSING
    from videotasks.openapi.template import make_template

    media = operation.request_media()
    if not media:
        return {"request_template": None, "template_note": "the endpoint documents no request body"}
    made = make_template(
        schemas,
        schemas.convert(media[0].schema),
        media[0].examples,
        category=args.category,
        needs=endpoints.needs(operation),
    )
    value = None if made.value is MISSING else made.value
    told = {"template_problems": made.problems, "unchecked": list(made.unchecked), "template_note": made.note}
    given = {name: one for name, one in told.items() if one}
    return {"request_template": value, "template_valid": not made.problems, **given}


# -- a profile --


def _profile(spec: Document, args: argparse.Namespace) -> dict[str, Any]:
    """Write a first profile; only one that loads and passes the check of foreign profiles is left behind."""
    from videotasks.openapi import profile_draft
    from videotasks.providers.load_profile import load_profile, shipped_names

    path = os.path.abspath(os.path.expanduser(args.make_profile))
    stem, ending = os.path.splitext(os.path.basename(path))
    name = "-".join(re.findall("[a-z0-9]+", stem.lower()))[:40]
    if ending.lower() not in (".yaml", ".yml") or not name:
        raise SpecError(f"--make-profile {args.make_profile} is no profile's name", expected="a file such as acme.yaml")
    if name in shipped_names():
        name = f"my-{name}"  # a shipped provider's name is not to be had
    if os.path.lexists(path):
        raise SpecError(f"{args.make_profile} exists and is not replaced", expected="the name of a new file")
    if args.endpoint:
        create = operations.find(spec, args.endpoint)
    else:
        created, how = endpoints.creating(spec, args.category)
        if not created or (how == "all" and len(created) > 1):
            raise SpecError(
                f"no operation of the specification makes {args.category}",
                expected='--endpoint "POST /path"',
                next_step="run with --list-endpoints",
            )
        create = next((one for one in created if polling.find_poll(spec, one).operation), created[0])
    made = profile_draft.draft(spec, create, name)
    folder = os.path.dirname(path)
    temporary = os.path.join(folder, f".{name}.{os.getpid()}.yaml")
    try:
        with open(temporary, "x", encoding="utf-8", newline="\n") as file:
            file.write(made.text)
        profile = load_profile(temporary)
        os.rename(temporary, path)
    except OSError as exc:
        raise SpecError(f"cannot write {args.make_profile}: {exc.strerror}", expected="a folder to write to") from None
    except TaskError as exc:
        said = exc.message.replace(temporary, args.make_profile)
        raise SpecError(f"no profile was written: {said}", expected=exc.expected, next_step=exc.hint) from None
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
    model = profile.default_model or profile.rehearsal_model
    steps = [os.path.abspath(path), *(["--model", model] if model else []), "--prompt", "a paper boat", "--dry-run"]
    return {
        "profile": path,
        "provider": profile.name,
        "create": made.create,
        "poll": made.poll,
        "poll_found_by": made.poll_found_by,
        "result": made.result,
        "base_url": profile.base_url,
        "key_variable": profile.auth.env[0],
        "guessed": made.guessed,
        "to_do": made.open,
        "next": next_command.command("create_and_wait.py", "--provider", *steps),
    }


# -- validation --


def _payload(path: str) -> Any:
    """The payload: a file, `-` for standard input, or the JSON text itself."""
    if not path.strip():
        raise SpecError("--validate is given nothing", expected="a JSON file, - for standard input, or the JSON text")
    text, shown = path, "the payload"
    if path.lstrip()[:1] not in ("{", "["):
        shown = path
        if path == "-":
            data = sys.stdin.buffer.read(MAX_PAYLOAD + 1)
        else:
            from videotasks.openapi import source

            data = source.read_file(os.path.expanduser(path), path, MAX_PAYLOAD, payload=True)
        if len(data) > MAX_PAYLOAD:
            raise SpecError(f"the payload is larger than {MAX_PAYLOAD // 1_000_000} MB", expected="a JSON object")
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise SpecError(f"{path} is not UTF-8 text", expected="a JSON object in UTF-8") from None
    if not text.strip():
        raise SpecError(f"the payload is empty: {path}", expected="the request body as JSON")
    try:
        return json.loads(text, parse_constant=no_constant)
    except RecursionError:
        raise SpecError("the payload is nested too deeply", expected="a JSON object") from None
    except ValueError as exc:
        raise SpecError(f"Invalid JSON in {shown}: {exc}", expected="the request body as JSON") from None


def _validated(operation: Operation, payload: Any, args: argparse.Namespace) -> dict[str, Any]:
    from videotasks.openapi.validation import validate_operation

    report = validate_operation(operation, payload, allow_unknown_fields=args.allow_unknown_fields)
    found: dict[str, Any] = {
        "ok": report.ok,
        "exit_code": 0 if report.ok else 1,
        "endpoint": report.endpoint,
        "valid": report.ok,
        "errors": report.errors,
        "warnings": report.warnings,
    }
    if report.unchecked:
        found["unchecked"] = report.unchecked
    if not report.ok:
        first = report.errors[0]
        found["error"] = {
            "category": Category.VALIDATION.value,
            "message": f"the payload is not valid: {first['message']}",
            "expected": first.get("expected", "a body that the schema accepts"),
        }
    found["next"] = None if report.ok else _next(args, "--endpoint", operation.endpoint, "--include-template")
    return found


# -- output --


def _warnings(spec: Document, args: argparse.Namespace) -> dict[str, Any]:
    """What is odd about the specification: two thirds of the real ones are invalid, so it is said and no more."""
    shown = [one_line(text, 200) for text in (spec.warnings if args.limit == 0 else spec.warnings[:5])]
    left_out = len(spec.warnings) - len(shown)
    told = {"spec_warnings": shown, "spec_warnings_left_out": left_out}
    return {name: value for name, value in told.items() if value}


def _next(args: argparse.Namespace, *options: str) -> list[str]:
    """The command that goes on, with the same specification."""
    spec = args.openapi
    if "://" not in spec[:10]:
        spec = os.path.abspath(os.path.expanduser(spec))
    return next_command.command(SCRIPT, "--openapi", spec, *options)


def _fitted(found: dict[str, Any], args: argparse.Namespace) -> dict[str, Any]:
    """`found` within the size of an output, its longest lists cut in half until it fits; whole with --limit 0."""
    if args.limit == 0:
        return found
    cut: set[str] = set()
    for _ in range(200):
        if len(document_text(found, args.json_indent)) <= MAX_OUTPUT:
            break
        sizes = {key: len(json.dumps(value, default=str)) for key, value in found.items() if key not in _KEPT}
        if not sizes:
            break
        key = max(sizes, key=lambda name: sizes[name])
        value = found[key]
        if isinstance(value, list) and len(value) > 1:
            found[key] = value[: len(value) // 2]
        elif isinstance(value, str) and len(value) > 200:
            found[key] = one_line(value, len(value) // 2)
        else:
            found[key] = None
        cut.add(key)
        found["shortened"] = f"{', '.join(sorted(cut))} cut; --limit 0 shows everything"
    return found


_KEPT = ("ok", "exit_code", "endpoint", "next", "next_argv", "shortened", "valid", "category", "total", "error")


def _fail(error: TaskError, args: argparse.Namespace) -> int:
    """The JSON of a refusal on stdout, its sentence on stderr."""
    fields = {**error_fields(error), "message": one_line(error.message, 1000)}
    found: dict[str, Any] = {"ok": False, "exit_code": error.exit_code, "error": fields, "next": None}
    if error.category == Category.NOT_FOUND:
        found["next"] = _next(args, "--list-endpoints")
    reporter = Reporter()
    reporter.people(error.message + (f" ({error.hint})" if error.hint else ""))
    reporter.document(_fitted(found, args), indent=args.json_indent)
    return error.exit_code

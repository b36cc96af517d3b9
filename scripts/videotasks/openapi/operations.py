"""Operations of a specification in one shape, whether it is OpenAPI 3 or Swagger 2.0."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

from videotasks.openapi.document import Document, entries, members
from videotasks.openapi.source import SpecError

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_METHOD_AND_PATH = re.compile(r"(GET|PUT|POST|DELETE|OPTIONS|HEAD|PATCH|TRACE)\s+(\S.*)\Z", re.IGNORECASE | re.DOTALL)
_PARAMETER = re.compile(r"\{[^{}/]*\}")


class Media(NamedTuple):
    """One body representation: its media type, schema as written, and the examples of the whole body."""

    type: str
    schema: Any
    examples: tuple[Any, ...]


class Operation:
    """One method of one path. Everything but `method` and `path` is looked up when asked for."""

    __slots__ = ("document", "item", "method", "path", "raw")

    def __init__(self, document: Document, method: str, path: str, raw: dict[str, Any], item: dict[str, Any]) -> None:
        self.document = document
        self.method = method
        self.path = path
        self.raw = raw
        self.item = item

    @property
    def endpoint(self) -> str:
        return f"{self.method} {self.path}"

    def text(self, field: str) -> str:
        value = self.raw.get(field)
        return value if isinstance(value, str) else ""

    @property
    def tags(self) -> list[str]:
        return [tag for tag in entries(self.raw.get("tags")) if isinstance(tag, str)]

    def parameters(self) -> list[dict[str, Any]]:
        """Parameters of the operation, then those of its path that it does not replace."""
        found: dict[tuple[Any, Any], dict[str, Any]] = {}
        for holder in (self.raw, self.item):
            for entry in entries(holder.get("parameters")):
                parameter = self.document.deref(entry)
                if isinstance(parameter, dict) and isinstance(parameter.get("name"), str):
                    found.setdefault((parameter["name"], str(parameter.get("in"))), parameter)
        return list(found.values())

    def has_body(self) -> bool:
        if "requestBody" in self.raw:
            return True
        return self.document.family == "2.0" and any(p.get("in") in ("body", "formData") for p in self.parameters())

    def request_media(self) -> list[Media]:
        """The request's representations, JSON first, then forms, then the others."""
        if self.document.family == "2.0" and "requestBody" not in self.raw:
            media = self._swagger_body()
        else:
            media = self._content(self.document.deref(self.raw.get("requestBody")))
        return sorted(media, key=lambda entry: _preference(entry.type))

    def responses(self) -> dict[str, dict[str, Any]]:
        listed = members(self.raw.get("responses")).items()
        found = {str(code): self.document.deref(entry) for code, entry in listed}
        return {code: response for code, response in found.items() if isinstance(response, dict)}

    def response_media(self, response: dict[str, Any]) -> list[Media]:
        if self.document.family == "2.0" and "content" not in response:
            kinds = self._types("produces") if "schema" in response else ()
            return [Media(kind, response["schema"], ()) for kind in kinds]
        return sorted(self._content(response), key=lambda entry: _preference(entry.type))

    def success_media(self) -> list[Media]:
        """The representations of the first 2xx answer that has any (then of `default`)."""
        responses = self.responses()
        codes = [*sorted(code for code in responses if code.startswith("2")), "default"]
        for code in codes:
            media = self.response_media(responses[code]) if code in responses else []
            if media:
                return media
        return []

    def _content(self, holder: Any) -> list[Media]:
        found = []
        for kind, entry in members(members(holder).get("content")).items():
            entry = self.document.deref(entry)
            if isinstance(entry, dict):
                found.append(Media(str(kind), entry.get("schema", True), tuple(self._examples(entry))))
        return found

    def _examples(self, entry: dict[str, Any]) -> Iterator[Any]:
        if "example" in entry:
            yield entry["example"]
        for example in list(members(entry.get("examples")).values())[:20]:
            example = self.document.deref(example)
            if isinstance(example, dict) and "value" in example:
                yield example["value"]

    def _types(self, field: str) -> list[str]:
        for holder in (self.raw, self.document.root):
            if kinds := entries(holder.get(field)):
                return [str(kind) for kind in kinds]
        return ["application/json"]

    def _swagger_body(self) -> list[Media]:
        parameters = self.parameters()
        for parameter in parameters:
            if parameter.get("in") == "body":
                return [Media(kind, parameter.get("schema", True), ()) for kind in self._types("consumes")]
        form = [parameter for parameter in parameters if parameter.get("in") == "formData"]
        if not form:
            return []
        properties = {}
        for parameter in form:
            schema = {key: value for key, value in parameter.items() if key not in ("name", "in", "required")}
            if schema.get("type") == "file":
                schema.update(type="string", format="binary")
            properties[parameter["name"]] = schema
        required = [parameter["name"] for parameter in form if parameter.get("required") is True]
        schema = {"type": "object", "properties": properties, "required": required}
        kinds = [kind for kind in self._types("consumes") if "form" in kind] or ["multipart/form-data"]
        return [Media(kind, schema, ()) for kind in kinds]


def is_json(media_type: str) -> bool:
    kind = media_type.split(";")[0].strip().lower()
    return kind in ("application/json", "*/*", "application/*", "text/json") or kind.endswith("+json")


def _preference(media_type: str) -> int:
    kind = media_type.split(";")[0].strip().lower()
    if kind == "application/json":
        return 0
    if is_json(kind):
        return 1
    return {"multipart/form-data": 2, "application/x-www-form-urlencoded": 3}.get(kind, 4)


def is_parameter(segment: str) -> bool:
    """Whether a segment of a path stands for a value: `{id}`, and as some documents write it `<id>` or `:id`."""
    return segment[:1] in "{<:" and len(segment) > 1


def parameter_names(path: str) -> list[str]:
    """The names of a path's parameters, in order."""
    return [segment.strip("{}<>:") for segment in path.split("/") if is_parameter(segment)]


def iterate(document: Document) -> Iterator[Operation]:
    """All operations in the order of the document."""
    for path, item in document.paths():
        for method, raw in item.items():
            if isinstance(raw, dict) and isinstance(method, str) and method.lower() in METHODS:
                yield Operation(document, method.upper(), path, raw, item)


def at(document: Document, method: str, path: str) -> Operation | None:
    """The operation at exactly this path, or None."""
    item = members(document.deref(members(document.root.get("paths")).get(path)))
    for name in (method.lower(), method.upper()):
        if isinstance(item.get(name), dict):
            return Operation(document, method.upper(), path, item[name], item)
    return None


def split_endpoint(text: str) -> tuple[str | None, str]:
    """`POST /x` as ("POST", "/x"); a bare path has no method."""
    match = _METHOD_AND_PATH.match(text.strip())
    return (match.group(1).upper(), match.group(2).strip()) if match else (None, text.strip())


def find(document: Document, endpoint: str) -> Operation:
    """The operation that `endpoint` means: "POST /x", a path (POST if it has one), a URL, or an operationId.

    The path may lack or carry `/v1` or the server's own base path, and may have values where the document has
    `{parameters}`. Raises SpecError (category not_found) with the nearest endpoints.
    """
    method, wanted = split_endpoint(endpoint)
    spellings = _spellings(document, wanted)
    exact = next(filter(None, (_at_any(document, method, path) for path in spellings)), None)
    if exact is not None:
        return exact
    everything = list(iterate(document))
    if method is None and wanted:
        named = [one for one in everything if one.text("operationId").lower() == wanted.lower()]
        if named:
            return min(named, key=lambda one: one.text("operationId") != wanted)
    for spelling in spellings:
        matches = [operation for operation in everything if _fits(operation.path, spelling)]
        if method is None:  # a misspelt create must not turn into `GET /tasks/{id}`
            creates = ("POST", "PUT", "PATCH")
            matches = [m for m in matches if m.method in creates or m.path.lower() == spelling.lower()]
        chosen = _choose(matches, method)
        if chosen is not None:
            return chosen
    if not everything:
        raise SpecError(
            f"{without_operations(document)}, so there is no endpoint {wanted[:200]}",
            expected="a specification with operations",
            next_step="look for the document that has the paths",
            category="not_found",
        )
    raise SpecError(
        f"Endpoint not found in OpenAPI: {method or 'POST'} {wanted[:200]}",
        expected="an endpoint of this specification",
        next_step="run again with --list-endpoints, or --search WORD",
        category="not_found",
        detail={"nearest": nearest(wanted, everything)},
    )


def without_operations(document: Document) -> str:
    """What a document without operations is, in one clause."""
    schemas = document.schemas()
    return f"the document holds {len(schemas)} schemas and no paths" if schemas else "the document has no paths"


def nearest(wanted: str, operations: list[Operation], count: int = 5) -> list[str]:
    import difflib

    by_path: dict[str, str] = {}
    for operation in operations[:3000]:
        if operation.method == "POST" or operation.path not in by_path:
            by_path[operation.path] = operation.endpoint
    close = difflib.get_close_matches(wanted, list(by_path), count, 0.5)
    if not close:
        last = wanted.rstrip("/").rpartition("/")[2].lower()
        close = [path for path in by_path if len(last) > 2 and last in path.lower()][:count]
    return [by_path[path] for path in close]


def _spellings(document: Document, wanted: str) -> list[str]:
    """The given path first, then with and without /v1, the server's base path, and a final slash."""
    absolute = "://" in wanted[:10]
    path = urlsplit(wanted).path if absolute else wanted.partition("?")[0].partition("#")[0]
    path = path if path.startswith("/") else f"/{path}"
    bases = (urlsplit(server_url(document, None) or "").path.rstrip("/"), "/api/v1", "/api", "/v1")
    found = [wanted, path, *(path[len(base) :] for base in bases if base and path.startswith(base + "/"))]
    found += [f"/v1{spelling}" for spelling in found[1:]]
    if absolute:
        parts = path.split("/")
        found += ["/" + "/".join(parts[start:]) for start in range(2, len(parts))]
    found += [one.rstrip("/") if one.endswith("/") and len(one) > 1 else one + "/" for one in found]
    return list(dict.fromkeys(found))


def _at_any(document: Document, method: str | None, path: str) -> Operation | None:
    methods = (method,) if method else ("POST", "PUT", "PATCH", "GET", "DELETE")
    return next(filter(None, (at(document, candidate, path) for candidate in methods)), None)


def _choose(matches: list[Operation], method: str | None) -> Operation | None:
    """POST before others when no method was asked for; among equals the path with the fewest parameters."""
    wanted = [match for match in matches if method in (None, match.method)]
    order = {"POST": 0, "PUT": 1, "PATCH": 2, "GET": 3}
    return min(wanted, key=lambda m: (order.get(m.method, 9), len(_PARAMETER.findall(m.path))), default=None)


def _fits(template: str, path: str) -> bool:
    """Whether `path` is `template` with other case, or with values in the place of its parameters."""
    if template.lower() == path.lower():
        return True
    left, right = template.split("/"), path.split("/")
    return len(left) == len(right) and all(
        part == other or (part.startswith("{") and part.endswith("}") and other != "")
        for part, other in zip(left, right, strict=True)
    )


def server_url(document: Document, operation: Operation | None) -> str | None:
    """The first server with its variables at their defaults, absolute where the document's own URL allows it.

    The operation's own servers win over its path's, those over the document's. None when there is none.
    """
    url = None
    for holder in (*((operation.raw, operation.item) if operation else ()), document.root):
        servers = entries(holder.get("servers"))
        if servers and isinstance(servers[0], dict):
            url = _filled(servers[0])
            break
    if url is None and document.family == "2.0":
        host, base = document.root.get("host"), document.root.get("basePath")
        schemes = entries(document.root.get("schemes")) or ["https"]
        scheme = "https" if "https" in schemes else str(schemes[0])
        url = base if isinstance(base, str) else None
        if isinstance(host, str):
            url = f"{scheme}://{host}{url or ''}"
    if url is not None and "://" in document.origin[:10] and "://" not in url[:10]:
        url = urljoin(document.origin, url)
    return url


def _filled(server: dict[str, Any]) -> str | None:
    url = server.get("url")
    if not isinstance(url, str):
        return None
    for name, variable in members(server.get("variables")).items():
        if isinstance(variable, dict) and "default" in variable:
            url = url.replace("{" + str(name) + "}", str(variable["default"]))
    return url

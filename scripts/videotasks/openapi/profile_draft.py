"""A first provider profile out of a specification: YAML text, with a comment beside everything that was guessed.

What the document says is taken as it says it; what it leaves open is written down as a guess, in the comment and in
`basis`, and what cannot even be guessed (a poll endpoint, a key in the query) is refused with what is missing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from videotasks.core.safe_text import one_line
from videotasks.openapi import answers, operations, placeholders, polling
from videotasks.openapi.document import Document
from videotasks.openapi.operations import Operation, is_parameter
from videotasks.openapi.source import SpecError

MAX_MODELS = 40
PLACEHOLDER = "https://api.example.invalid"
_VOCABULARY = {
    "not_found": "not_?found|unknown_?task|no_?such",
    "succeeded": "succeed|success|complete|done|finish|ready|^ok$|available|^end(ed)?$|published|created_successfully",
    "failed": "fail|error|reject|invalid|moderat|nsfw|denied|blocked|crash|dead|unsuccess",
    "cancelled": "cancel|abort|stopp|terminat|deleted",
    "expired": "expire|time_?d?_?out",
    "queued": "queue|pend|wait|submit|creat|schedul|not_?start|accept|receiv|^new$|init|hold|throttl|draft|request"
    "|^idle$|plan",
    "running": "run|process|progress|generat|render|transcrib|start|active|dream|work|ongoing|execut|upload|sav|prepar"
    "|transcod|train|convert|encod|analy|sampl|busy|doing|compos|finaliz|fetch",
}
_NOT_DONE = re.compile(r"^(?:un|not|in)_?(?:complete|finish|ready|success)|incomplete")
_USUAL_MAP = {
    "queued": ["queued", "pending", "submitted", "waiting", "created", "not_start", "in_queue"],
    "running": ["running", "processing", "in_progress", "generating", "rendering", "started"],
    "succeeded": ["succeeded", "success", "completed", "complete", "done", "finished", "ready"],
    "failed": ["failed", "failure", "error", "rejected"],
    "cancelled": ["cancelled", "canceled", "aborted"],
    "expired": ["expired", "timeout", "timed_out"],
}
_USUAL_VIDEO = ["video_url", "url", "output.video_url", "output.url", "data.video_url", "data.url", "result.video_url",
                "video.url", "output"]  # fmt: skip
_LINK = re.compile(r"url|uri|link|href|^output$|^outputs$|^src$|download|^video$|^videos$|^result$", re.IGNORECASE)
_NO_RESULT = re.compile(
    r"expir|snapshot|webhook|callback|poll|status_|cancel|thumb|cover|poster|preview|image|photo|frame|avatar|audio|voice|subtitle"
    r"|caption|gif|logs?\b|input|source|start|next|previous|self|prompt|share|page|dashboard|watermark|request|user"
    r"|stream|docs|captions|srt|logo|response_url|get$|config|metadata_url|captioned|driver|cta|intro|reference"
    r"|original",
    re.IGNORECASE,
)
_THUMBNAIL = re.compile(r"thumb|cover|poster", re.IGNORECASE)
_INPUTS = {
    "duration": ("duration", "seconds", "video_length", "duration_seconds", "length", "video_duration",
                 "durationSeconds"),
    "ratio": ("aspect_ratio", "ratio", "aspectRatio", "aspect"),
    "resolution": ("resolution", "video_resolution", "output_resolution"),
    "seed": ("seed",),
    "model": ("model", "model_name", "model_id", "modelId", "modelName", "model_version", "ai_model", "version",
              "slug"),
}  # fmt: skip
_NUMBERED = re.compile(r"[`'\"]?(-?\d{1,3})[`'\"]?\s*(?:[:=-]|–|→|is|means)\s*[`'\"*]*([A-Za-z][A-Za-z _]{2,24})")
_QUOTED = re.compile(r"[`'\"“]([A-Za-z][A-Za-z_ -]{2,24})[`'\"”]")


@dataclass
class Draft:
    """`text` is the file. `guessed` names the members that rest on a guess, each with why; `open` what is to do."""

    text: str
    create: str
    poll: str
    poll_found_by: str
    result: list[str]
    guessed: dict[str, str] = field(default_factory=dict)
    open: list[str] = field(default_factory=list)


@dataclass
class _Line:
    key: str
    value: Any
    comment: str = ""


def draft(document: Document, create: Operation, name: str) -> Draft:
    """The profile `name` for a create operation. Raises SpecError that says what the document lacks for one."""
    return _Drafter(document, create, name).draft()


class _Drafter:
    def __init__(self, document: Document, create: Operation, name: str) -> None:
        self.document = document
        self.create = create
        self.name = name
        self.guessed: dict[str, str] = {}
        self.open: list[str] = []
        found = polling.find_poll(document, create)
        if found.operation is None:
            raise SpecError(
                f"the specification does not say how a task of {create.endpoint[:200]} is asked for",
                expected="a GET that takes the id which the create answers with",
                next_step="write the profile by hand: references/adding-a-provider.md",
                detail={"candidates": [one.endpoint for one in found.candidates]} if found.candidates else None,
            )
        self.poll, self.how = found.operation, found.how or "guess"
        if self.how == "guess":
            self.guessed["status.path"] = "the only general task endpoint"
        self.answer = answers.fields(create)
        self.told = answers.fields(self.poll)

    def draft(self) -> Draft:
        info = self.document.root.get("info")
        title = one_line(str(info.get("title") or self.name), 80) if isinstance(info, dict) else self.name
        status = self._status()
        result, videos = self._result()
        lines = [
            _Line("name", self.name),
            _Line("title", title),
            *self._base_url(),
            _Line("auth", self._auth()),
            *self._headers(),
            _Line("create", self._create()),
            _Line("status", status),
            _Line("result", result),
            *self._error(),
            *self._progress(),
            _Line("inputs", self._inputs() or {}),
            *self._models(),
            _Line("tried", False),
        ]
        source = one_line(self.document.origin.replace("\\", "/").rsplit("/", 1)[-1], 80) or "the specification"
        basis = {"all": {"is": "vendor", "source": source}}
        basis.update({member: {"is": "guess", "source": why} for member, why in self.guessed.items()})
        lines.append(_Line("basis", [_Line(member, told) for member, told in basis.items()]))
        head = [
            f"# A first profile, made from {source}: {one_line(self.create.endpoint, 200)}.",
            "# Read what is marked as guessed before you pay for a task with it.",
            *(f"# To do: {one_line(text, 300)}" for text in self.open),
        ]
        text = "\n".join([*head, *_written(lines, "")]) + "\n"
        return Draft(
            text, self.create.endpoint, self.poll.endpoint, self.how, videos, dict(self.guessed), list(self.open)
        )

    def _guess(self, member: str, why: str) -> str:
        self.guessed[member] = why
        return f"guessed: {why}"

    # -- where, and with what key

    def _base_url(self) -> list[_Line]:
        url = (operations.server_url(self.document, self.create) or "").split("?")[0].rstrip("/")
        try:
            good = re.fullmatch(r"https?://[A-Za-z0-9.\[\]:-]+(/[A-Za-z0-9._~/-]*)?", url) and urlsplit(url).hostname
        except ValueError:
            good = None
        if good:
            return [_Line("base_url", url)]
        self.open.append("base_url: the specification names no server")
        return [
            _Line("base_url", PLACEHOLDER, "not in the specification: put the API's address here, or use --base-url"),
            _Line("base_url_required", True),
        ]

    def _auth(self) -> list[_Line]:
        variable = "VIDEO_TASKS_KEY_" + re.sub(r"[^A-Z0-9]", "_", self.name.upper())
        header, prefix, comment = self._scheme()
        lines = []
        if (header, prefix) != ("Authorization", "Bearer "):
            lines = [_Line("header", header), _Line("prefix", prefix)]
        lines.append(_Line("env", [variable], comment))
        return lines

    def _scheme(self) -> tuple[str, str, str]:
        """Header, prefix, and a comment where they are a guess."""
        schemes = [scheme for scheme in self._schemes() if scheme]
        queries = []
        for scheme in schemes:
            kind, place = str(scheme.get("type", "")).lower(), str(scheme.get("in", "")).lower()
            if kind in ("http", "oauth2", "openidconnect", "basic"):
                basic = kind == "basic" or str(scheme.get("scheme", "")).lower() == "basic"
                return "Authorization", "Basic " if basic else "Bearer ", ""
            if kind == "apikey" and place == "header":
                return self._key_header(
                    str(scheme.get("name") or "Authorization"), str(scheme.get("description") or "")
                )
            if kind == "apikey" and place == "query":
                queries.append(str(scheme.get("name")))
        for parameter in self.create.parameters():
            name = str(parameter["name"])
            if parameter.get("in") == "header" and re.search(r"authorization|api-?key|token", name, re.IGNORECASE):
                told = f"{parameter.get('description')} {parameter.get('example')} {parameter.get('schema')}"
                return self._key_header(name, told)
        if queries:
            raise SpecError(
                f"the API takes its key in the query ({one_line(queries[0], 40)}=...), which a profile cannot",
                expected="a key in a header",
            )
        return (
            "Authorization",
            "Bearer ",
            self._guess("auth.prefix", "the specification does not say how the key is sent"),
        )

    def _key_header(self, name: str, told: str) -> tuple[str, str, str]:
        name = name if re.fullmatch(r"[A-Za-z0-9-]+", name) else "Authorization"
        if name.lower() != "authorization":
            return name, "", ""
        for word in ("Bearer", "Basic", "Token", "Key"):
            if re.search(rf"\b{word}\b\s+[`<{{\[\"'$A-Za-z]", told) or (word in ("Bearer", "Basic") and word in told):
                return "Authorization", word + " ", ""
        return "Authorization", "Bearer ", self._guess("auth.prefix", "the key's prefix is not documented")

    def _schemes(self) -> Iterator[dict[str, Any]]:
        holder = self.document.root.get("components")
        listed = holder.get("securitySchemes") if isinstance(holder, dict) else None
        listed = listed if isinstance(listed, dict) else self.document.root.get("securityDefinitions")
        schemes = {str(k): self.document.deref(v) for k, v in listed.items()} if isinstance(listed, dict) else {}
        wanted = self.create.raw.get("security", self.document.root.get("security"))
        named = (
            [name for entry in wanted if isinstance(entry, dict) for name in entry] if isinstance(wanted, list) else []
        )
        for name in [*named, *schemes] if named else schemes:
            scheme = schemes.get(name)
            if isinstance(scheme, dict):
                yield scheme

    def _headers(self) -> list[_Line]:
        lines = []
        for parameter in self.create.parameters():
            name = str(parameter["name"])
            known = re.search(r"^(?:authorization|cookie|host|accept|content-.*)$|api-?key|token", name, re.IGNORECASE)
            if parameter.get("in") != "header" or parameter.get("required") is not True or known:
                continue
            if not re.fullmatch(r"[A-Za-z0-9-]+", name):
                continue
            schema = answers.merged(self.document, parameter.get("schema"))
            fixed = schema.get("enum") or ([schema["default"]] if "default" in schema else [])
            value = fixed[0] if fixed else parameter.get("example", schema.get("example"))
            if not isinstance(value, str) or not re.fullmatch(r"[ -~]{1,200}", value):
                self.open.append(f"headers: {name} is required")
                continue
            comment = "" if len(fixed) == 1 else self._guess("headers", f"one of several values of {name}")
            lines.append(_Line(name, value, comment))
        return [_Line("headers", lines)] if lines else []

    # -- the calls

    def _path(self, operation: Operation, task: str | None) -> str:
        """The operation's path with {task_id} for the parameter `task`, {model} for a model's, defaults for others."""
        written: list[str] = []
        parts = operation.path.split("?")[0].split("/")
        for index, part in enumerate(parts):
            if not is_parameter(part):
                written.append(part)
                continue
            name = part.strip("{}<>:")
            if name == task:
                written.append("{task_id}")
            elif re.search(r"model|owner|version", name, re.IGNORECASE):
                if "{model}" not in written or index == 0 or parts[index - 1] == "{model}":
                    written += [] if written[-1:] == ["{model}"] else ["{model}"]
            else:
                value = self._parameter_default(operation, name)
                if value is None:
                    raise SpecError(
                        f"the path {operation.path[:200]} needs a value for {one_line(name, 60)}",
                        expected="a path with the task's id or the model's name alone",
                        next_step="write the profile by hand: references/adding-a-provider.md",
                    )
                self._guess("create.path" if task is None else "status.path", f"{name} is {value}")
                written.append(value)
        path = "/".join(written)
        return path if path.startswith("/") else "/" + path

    def _parameter_default(self, operation: Operation, name: str) -> str | None:
        for parameter in operation.parameters():
            if parameter["name"] == name:
                schema = answers.merged(self.document, parameter.get("schema"))
                listed = schema.get("enum")
                for value in (
                    schema.get("default"),
                    *(listed if isinstance(listed, list) else ()),
                    parameter.get("example"),
                ):
                    if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9._~-]{1,60}", value):
                        return value
        return "default" if name == "queue_id" else None

    def _asked(self) -> tuple[str, str]:
        """Where the poll takes the id ("path", "query", "body") and its name there."""
        names = [part.strip("{}<>:") for part in self.poll.path.split("/") if is_parameter(part)]
        own = [n.strip("{}<>:") for n in self.create.path.split("/") if is_parameter(n)]
        new = [name for name in names if name not in own] or names
        if new:
            return "path", new[-1]
        if self.poll.method == "POST":
            for media in self.poll.request_media()[:1]:
                for found in answers.task_ids(list(answers.walk(self.document, media.schema))):
                    if len(found.path) == 1:
                        return "body", found.name
            return "body", "task_id"
        for parameter in self.poll.parameters():
            if parameter.get("in") == "query" and answers.id_words(str(parameter["name"])) is not None:
                return "query", str(parameter["name"])
        return "query", "id"

    def _create(self) -> list[_Line]:
        lines = []
        if self.create.method != "POST":
            lines.append(_Line("method", self.create.method))
        lines.append(_Line("path", self._path(self.create, None)))
        media = self.create.request_media()
        if media and not operations.is_json(media[0].type):
            lines.append(_Line("encoding", "multipart"))
        wanted = answers.id_words(self._asked()[1])
        ids = answers.task_ids(self.answer)
        ids.sort(key=lambda found: bool(wanted) and answers.id_words(found.name) != wanted)
        if ids:
            lines.append(_Line("id", [found.jmespath for found in ids[:2]]))
        else:
            usual = ["id", "task_id", "data.id", "data.task_id"]
            if wanted:
                usual = [f"data.{self._asked()[1]}", self._asked()[1], *usual]
            lines.append(_Line("id", usual, self._guess("create.id", "the answer of the create is not documented")))
        return lines

    def _status(self) -> list[_Line]:
        place, name = self._asked()
        lines = []
        if self.poll.method == "POST":
            lines.append(_Line("method", "POST"))
        comment = f"guessed: {self.guessed['status.path']}" if "status.path" in self.guessed else ""
        lines.append(_Line("path", self._path(self.poll, name if place == "path" else None), comment))
        if place == "query":
            lines.append(_Line("query", {name: "{task_id}"}))
        elif place == "body":
            lines.append(_Line("body", self._poll_body(name)))
        values = answers.status_fields(self.told)
        if values:
            lines.append(_Line("value", [values[0].jmespath]))
            lines += self._map(values[0])
        else:
            usual = ["status", "state", "data.status", "data.state", "data.task_status"]
            why = self._guess("status.value", "the answer of the poll documents no status")
            lines.append(_Line("value", usual, why))
            lines.append(_Line("map", _USUAL_MAP, self._guess("status.map", "usual words")))
        return lines

    def _poll_body(self, name: str) -> dict[str, Any]:
        body: dict[str, Any] = {name: "{task_id}"}
        for media in self.poll.request_media()[:1]:
            schema = answers.merged(self.document, media.schema)
            required = schema.get("required")
            for other in required if isinstance(required, list) else ():
                if "model" in str(other) and other != name:
                    body[str(other)] = "{model}"
        return body

    def _map(self, value: answers.Field) -> list[_Line]:
        words = self._words(value)
        table: dict[str, list[Any]] = {}
        strange = []
        for word, meaning in words:
            status = _meaning(meaning)
            if status:
                table.setdefault(status, []).append(word)
            else:
                strange.append(str(word))
        if "succeeded" not in table:
            why = "the words of the status are not documented" if not words else "no word for success is documented"
            table = {
                status: list(dict.fromkeys([*table.get(status, []), *usual])) for status, usual in _USUAL_MAP.items()
            }
            return [_Line("map", table, self._guess("status.map", why))]
        order = {status: table[status] for status in (*_USUAL_MAP, "not_found") if status in table}
        comment = f"not told what it means: {one_line(', '.join(strange), 120)}" if strange else ""
        if strange:
            self.open.append(f"status.map: what {', '.join(strange)[:120]} means")
        if "failed" not in order:  # without a word for it, a failed task is waited for until the deadline
            told = {word for listed in table.values() for word in listed}
            order["failed"] = [word for word in _USUAL_MAP["failed"] if word not in told]
            said = self._guess("status.map", "no word for a failure is documented")
            comment = f"{comment}; {said}" if comment else said
        listed = isinstance(value.schema.get("enum"), list)
        if not listed:
            comment = self._guess("status.map", "read out of a description") + (f"; {comment}" if comment else "")
        return [_Line("map", order, comment)]

    def _words(self, value: answers.Field) -> list[tuple[Any, str]]:
        """(word, meaning) of each status; numbers by what the description says of them."""
        found: list[Any] = []
        told = ""
        for same in self.told:
            if same.path == value.path:
                listed = same.schema.get("enum")
                found += [entry for entry in listed if entry not in found] if isinstance(listed, list) else []
                told += f" {same.schema.get('description') or ''}"
                example = same.schema.get("example")
                if not listed and isinstance(example, str):
                    told += f' "{example}"'
        words = [(word, word) for word in found if isinstance(word, str) and word.strip()]
        if words:
            return words
        numbered = [(int(number), meaning.strip()) for number, meaning in _NUMBERED.findall(told[:2000])]
        if value.schema.get("type") in ("integer", "number") or (found and all(isinstance(w, int) for w in found)):
            return numbered
        return [(word, word) for word in dict.fromkeys(_QUOTED.findall(told[:2000])) if _meaning(word)]

    def _result(self) -> tuple[list[_Line], list[str]]:
        lines = []
        told, fetch = self.told, self._fetched()
        if fetch is not None:
            told = answers.fields(fetch) or told
        by_file = None if fetch is not None or _links(told) else self._by_file()
        links = _links(by_file[0] if by_file is not None else told)
        videos = list(dict.fromkeys(_listed(found) for found in links))[:4]
        content = self._content()
        if videos:
            lines.append(_Line("video", videos))
        elif content is None:
            videos = _USUAL_VIDEO
            lines.append(_Line("video", videos, self._guess("result.video", "no link is documented in the answer")))
        thumbnails = [
            found.jmespath for found in told if _THUMBNAIL.search(found.name) and found.schema.get("type") == "string"
        ]
        if thumbnails:
            lines.append(_Line("thumbnail", thumbnails[:1]))
        if fetch is not None:
            lines.append(_Line("fetch", {"path": self._path(fetch, self._asked()[1])}))
        elif by_file is not None:
            lines.append(_Line("fetch", by_file[1]))
        if content is not None:
            lines.append(_Line("content", {"path": self._path(content, self._asked()[1])}))
        return lines, videos if not content else [*videos, content.endpoint]

    def _fetched(self) -> Operation | None:
        """The second request after success: `/x/{id}` beside `/x/{id}/status`, where that one has the links."""
        if _links(self.told):
            return None
        parent, _, last = self.poll.path.rstrip("/").rpartition("/")
        if last.lower() != "status" or not is_parameter(parent.rpartition("/")[2]):
            return None
        for path in (parent, parent + "/result"):
            found = operations.at(self.document, "GET", path)
            if found is not None:
                return found
        return None

    def _by_file(self) -> tuple[list[answers.Field], dict[str, Any]] | None:
        """The answer that turns the file's id in the poll's answer into a link, and how it is asked for."""
        ids = [found for found in self.told if answers.id_words(found.name) == ("file",)]
        for operation in operations.iterate(self.document) if ids else ():
            if operation.method != "GET":
                continue
            names = [str(parameter["name"]) for parameter in operation.parameters()]
            name = next((one for one in names if answers.id_words(one) == ("file",)), None)
            told = answers.fields(operation) if name else []
            if name is None or not _links(told):
                continue
            path = operation.path.replace("{" + name + "}", "{file_id}")
            path += "" if path != operation.path else f"?{name}={{file_id}}"
            return told, {"path": path, "values": {"file_id": ids[0].jmespath}}
        return None

    def _content(self) -> Operation | None:
        """The address of the file itself, which needs the key."""
        if self._asked()[0] != "path":
            return None
        base = self.poll.path.rstrip("/").removesuffix("/status")
        for ending in ("/content", "/download"):
            found = operations.at(self.document, "GET", base + ending)
            kinds = [media.type.lower() for media in found.success_media()] if found else []
            if found is not None and any(
                re.match("video/|application/octet-stream|application/binary", k) for k in kinds
            ):
                return found
        return None

    def _error(self) -> list[_Line]:
        messages, codes = [], []
        for code, response in self.create.responses().items():
            if not re.match("[45]|default", code):
                continue
            for media in self.create.response_media(response)[:1]:
                for found in answers.walk(self.document, media.schema):
                    if found.schema.get("type", "string") != "string" or len(found.path) > 3:
                        continue
                    if found.name in ("message", "detail", "msg", "error_message", "error", "description"):
                        messages.append(_listed(found))
                    elif found.name in ("code", "error_code", "type"):
                        codes.append(_listed(found))
        reasons = [
            found.jmespath
            for found in self.told
            if found.schema.get("type", "string") == "string"
            and re.search(r"fail|error|reason", found.jmespath, re.IGNORECASE)
            and re.search(r"message|reason|detail|^error$|failure|error_msg|^msg$", found.name, re.IGNORECASE)
            and not re.search(r"code|type|status", found.name, re.IGNORECASE)
        ]
        lines = []
        for key, found_paths in (("message", messages), ("code", codes), ("task_message", reasons)):
            paths = list(dict.fromkeys(found_paths))[:3]
            if paths:
                lines.append(_Line(key, paths))
        return [_Line("error", lines)] if lines else []

    def _progress(self) -> list[_Line]:
        names = ("progress", "percent", "percentage", "progress_percent", "completion_percentage")
        paths = [found.jmespath for found in self.told if found.name in names and found.schema.get("type") != "object"]
        return [_Line("progress", {"path": paths[:1]})] if paths else []

    # -- what goes in

    def _fields(self) -> list[answers.Field]:
        for media in self.create.request_media()[:1]:
            found = [f for f in answers.walk(self.document, media.schema) if len(f.path) <= 3]
            return [f for f in found if not any(isinstance(part, int) for part in f.path[:-1])]
        return []

    def _required(self) -> set[str]:
        for media in self.create.request_media()[:1]:
            required = answers.merged(self.document, media.schema).get("required")
            return {str(name) for name in required} if isinstance(required, list) else set()
        return set()

    def _inputs(self) -> list[_Line]:
        fields, required = self._fields(), self._required()
        plain = [f for f in fields if f.schema.get("type", "string") not in ("object", "array") and 0 not in f.path]
        lines = []
        prompts = [f for f in plain if placeholders.prompt_rank(f.name) < placeholders.NO_PROMPT]
        prompts.sort(key=lambda f: (placeholders.prompt_rank(f.name), len(f.path)))
        covered = set()
        if prompts:
            entry: dict[str, Any] = {"to": _dotted(prompts[0])}
            if prompts[0].path[0] in required:
                entry["required"] = True
            comment = ""
            if placeholders.prompt_rank(prompts[0].name) > placeholders.IS_PROMPT:
                comment = self._guess("inputs.prompt", "no field is called prompt")
            lines.append(_Line("prompt", entry, comment))
            covered.add(prompts[0].path[0])
        elif free := next((f for f in fields if f.path in (("input",), ("inputs",)) and not self._inside(f)), None):
            why = self._guess("inputs.prompt", f"the specification does not say what is in {free.name}")
            lines.append(_Line("prompt", {"to": f"{free.name}.prompt"}, why))
            covered.add(free.path[0])
        else:
            self.open.append("inputs: no field for a prompt was found")
        for name, spellings in _INPUTS.items():
            found = next((f for s in spellings for f in plain if f.name == s), None)
            if found is None:
                continue
            entry = {"to": _dotted(found)}
            kind = found.schema.get("type")
            if name in ("duration", "seed") and kind in ("integer", "number", "string"):
                entry["type"] = kind
            if name == "model" and found.path[0] in required:
                entry["required"] = True
            lines.append(_Line(name, entry))
            covered.add(found.path[0])
        image = self._image([f for f in fields if f.path[0] not in covered])
        if image is not None:
            lines.append(_Line("image", image[0], image[1]))
            covered |= image[2]
        missing = sorted(name for name in required - covered if not self._has_default(name))
        if missing:
            self.open.append(f"required, too, and given with --set NAME=VALUE: {', '.join(missing)[:200]}")
        return lines

    def _inside(self, holder: answers.Field) -> bool:
        return any(f.path[: len(holder.path)] == holder.path and f.path != holder.path for f in self._fields())

    def _has_default(self, name: str) -> bool:
        return any(f.path == (name,) and "default" in f.schema for f in self._fields())

    def _image(self, fields: list[answers.Field]) -> tuple[dict[str, Any], str, set[Any]] | None:
        ranked = []
        for index, found in enumerate(fields):
            rank = placeholders.media_rank(found.name, "image")
            kind = found.schema.get("type", "string")
            takes = kind in ("string", "array") and 0 not in found.path and answers.id_words(found.name) is None
            if rank < placeholders.NO_MEDIA and takes:
                ranked.append((rank, len(found.path), index, found, kind))
        if not ranked:
            return None
        ranked.sort(key=lambda entry: entry[:3])
        *_, first, kind = ranked[0]
        last = next(
            (e for e in ranked if e[4] == "string" and re.search("last|end|tail", e[3].name, re.IGNORECASE)), None
        )
        if last is not None and kind == "string" and last[3] is not first:
            roles = {"first_frame": {"to": _dotted(first)}, "last_frame": {"to": _dotted(last[3])}}
            return {"roles": roles, "one_without_role": "first_frame"}, "", {first.path[0], last[3].path[0]}
        return {"to": _dotted(first) + ("[+]" if kind == "array" else "")}, "", {first.path[0]}

    def _models(self) -> list[_Line]:
        lines = []
        for found in self._fields():
            if found.name in _INPUTS["model"] and found.schema.get("type", "string") == "string":
                default = found.schema.get("default")
                if isinstance(default, str) and default:
                    lines.append(_Line("default_model", default))
                listed = found.schema.get("enum")
                ids = [m for m in listed if isinstance(m, str) and m] if isinstance(listed, list) else []
                if ids:
                    lines.append(_Line("rehearsal_model", ids[0]))
                    lines.append(_Line("models", [{"id": one} for one in dict.fromkeys(ids[:MAX_MODELS])]))
                break
        return lines


def _meaning(word: str) -> str | None:
    """The canonical status that a provider's word means."""
    low = re.sub(r"[\s-]+", "_", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", word.strip())).lower()
    for status in ("not_found", "failed", "cancelled", "expired"):
        if re.search(_VOCABULARY[status], low):
            return status
    if _NOT_DONE.search(low) and not low.startswith("in_progress"):
        return "running"
    if re.search(r"partial", low):
        return None
    for status in ("succeeded", "queued", "running"):
        if re.search(_VOCABULARY[status], low):
            return status
    return None


def _links(told: list[answers.Field]) -> list[answers.Field]:
    """Fields that may hold the link of the finished video, the likeliest first."""
    ranked = []
    for index, found in enumerate(told):
        names = [str(part) for part in found.path if isinstance(part, str)]
        kind = found.schema.get("type", "string")
        own = bool(re.search("video|mp4|movie", found.name, re.IGNORECASE))  # generated_images[].motionMP4URL
        if kind not in ("string", "array") or not _LINK.search(found.name) or _NO_RESULT.search(names[-1]):
            continue
        if not own and any(map(_NO_RESULT.search, names[:-1])):
            continue
        if found.path[-1] != 0 and kind == "array":
            continue  # its entries follow, as [..., 0]
        described = f"{found.schema.get('description') or ''} {found.schema.get('example') or ''}".lower()
        linky = (
            bool(re.search("url|uri|link|href|^download$", found.name, re.IGNORECASE))
            or found.schema.get("format") == "uri"
        )
        about = own or bool(re.search("video|result", " ".join(names), re.IGNORECASE))
        about = about or "video" in described or ".mp4" in described
        if not linky and not about and names[-1] not in ("output", "outputs"):
            continue
        ranked.append((-2 * about - linky, len(found.path), index, found))
    ranked.sort(key=lambda entry: entry[:3])
    links = [found for *_, found in ranked]
    bare = [found for found in links if found.name.startswith("output") and "type" not in found.schema]
    return [*links, *(answers.Field((*found.path, 0), found.schema) for found in bare)]


def _listed(found: answers.Field) -> str:
    """The JMESPath of a field, all entries of a list: `output[]`."""
    return re.sub(r"\[\d+\]", "[]", found.jmespath)


def _dotted(found: answers.Field) -> str:
    return ".".join(str(part) for part in found.path if isinstance(part, str))


def _written(lines: list[_Line], indent: str) -> Iterator[str]:
    """YAML: mappings of lines as blocks, everything else as JSON, which YAML includes."""
    for line in lines:
        comment = f"   # {one_line(line.comment, 200)}" if line.comment else ""
        key = line.key if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*", line.key) else json.dumps(line.key)
        if isinstance(line.value, list) and line.value and isinstance(line.value[0], _Line):
            yield f"{indent}{key}:{comment}"
            yield from _written(line.value, indent + "  ")
        else:
            yield f"{indent}{key}: {json.dumps(line.value, ensure_ascii=False)}{comment}"

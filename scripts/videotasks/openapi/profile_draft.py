"""A first provider profile out of a specification: YAML text, with a comment beside everything that was guessed.

What the document says is taken as it says it; what it leaves open is written down as a guess, in the comment and in
`basis`, and what cannot even be guessed (a poll endpoint, a key in the query) is refused with what is missing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from videotasks.core.safe_text import one_line
from videotasks.formats import scalars
from videotasks.openapi import answers, operations, placeholders, polling
from videotasks.openapi.document import Document, entries, members
from videotasks.openapi.operations import Operation, is_parameter, parameter_names
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
_UNHAPPY = ("not_found", "failed", "cancelled", "expired")  # these words are looked for first
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


class Draft(NamedTuple):
    """`text` is the file. `guessed` names the members that rest on a guess, each with why; `open` what is to do."""

    text: str
    create: str
    poll: str
    poll_found_by: str
    result: list[str]
    guessed: dict[str, str]
    open: list[str]


class _Line(NamedTuple):
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
        self.place, self.asked = self._asked()
        media = create.request_media()[:1]
        given = [one for body in media for one in answers.walk(document, body.schema) if len(one.path) <= 3]
        self.fields = [one for one in given if not any(isinstance(part, int) for part in one.path[:-1])]
        bodies = [answers.merged(document, body.schema) for body in media]
        self.required = {str(name) for body in bodies for name in entries(body.get("required"))}

    def draft(self) -> Draft:
        title = one_line(str(members(self.document.root.get("info")).get("title") or self.name), 80)
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
        return Draft(text, self.create.endpoint, self.poll.endpoint, self.how, videos, self.guessed, self.open)

    def _guess(self, member: str, why: str) -> str:
        self.guessed[member] = why
        return f"guessed: {why}"

    # -- where, and with what key

    def _base_url(self) -> list[_Line]:
        url = (operations.server_url(self.document, self.create) or "").split("?")[0].rstrip("/")
        if re.fullmatch(r"https?://[A-Za-z0-9.\[\]:-]+(/[A-Za-z0-9._~/-]*)?", url) and scalars.http_url(url):
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
        queries = []
        for scheme in self._schemes():
            kind, place = str(scheme.get("type", "")).lower(), str(scheme.get("in", "")).lower()
            if kind in ("http", "oauth2", "openidconnect", "basic"):
                basic = kind == "basic" or str(scheme.get("scheme", "")).lower() == "basic"
                return "Authorization", "Basic " if basic else "Bearer ", ""
            if kind == "apikey" and place == "header":
                name = str(scheme.get("name") or "Authorization")
                return self._key_header(name, str(scheme.get("description") or ""))
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
        why = self._guess("auth.prefix", "the specification does not say how the key is sent")
        return "Authorization", "Bearer ", why

    def _key_header(self, name: str, told: str) -> tuple[str, str, str]:
        name = name if re.fullmatch(r"[A-Za-z0-9-]+", name) else "Authorization"
        if name.lower() != "authorization":
            return name, "", ""
        for word in ("Bearer", "Basic", "Token", "Key"):
            if re.search(rf"\b{word}\b\s+[`<{{\[\"'$A-Za-z]", told) or (word in ("Bearer", "Basic") and word in told):
                return "Authorization", word + " ", ""
        return "Authorization", "Bearer ", self._guess("auth.prefix", "the key's prefix is not documented")

    def _schemes(self) -> Iterator[dict[str, Any]]:
        root = self.document.root
        listed = members(root.get("components")).get("securitySchemes")
        listed = listed if isinstance(listed, dict) else members(root.get("securityDefinitions"))
        schemes = {str(name): members(self.document.deref(scheme)) for name, scheme in listed.items()}
        wanted = entries(self.create.raw.get("security", root.get("security")))
        named = [name for entry in wanted for name in members(entry)]
        yield from filter(None, (schemes.get(name) for name in (*named, *schemes)))

    def _headers(self) -> list[_Line]:
        lines = []
        for parameter in self.create.parameters():
            name = str(parameter["name"])
            known = re.search(r"^(?:authorization|cookie|host|accept|content-.*)$|api-?key|token", name, re.IGNORECASE)
            required = parameter.get("in") == "header" and parameter.get("required") is True
            if not required or known or not re.fullmatch(r"[A-Za-z0-9-]+", name):
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
        for part in operation.path.split("?")[0].split("/"):
            name = part.strip("{}<>:")
            if not is_parameter(part):
                written.append(part)
            elif name == task:
                written.append("{task_id}")
            elif re.search(r"model|owner|version", name, re.IGNORECASE):
                written += ["{model}"] if "{model}" not in written else []
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
        return "/" + "/".join(written).removeprefix("/")

    def _parameter_default(self, operation: Operation, name: str) -> str | None:
        for parameter in operation.parameters():
            if parameter["name"] == name:
                schema = answers.merged(self.document, parameter.get("schema"))
                for value in (schema.get("default"), *entries(schema.get("enum")), parameter.get("example")):
                    if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9._~-]{1,60}", value):
                        return value
        return "default" if name == "queue_id" else None

    def _asked(self) -> tuple[str, str]:
        """Where the poll takes the id ("path", "query", "body") and its name there."""
        names, own = parameter_names(self.poll.path), parameter_names(self.create.path)
        if names:
            return "path", ([name for name in names if name not in own] or names)[-1]
        if self.poll.method == "POST":
            given = [one for body in self.poll.request_media()[:1] for one in answers.walk(self.document, body.schema)]
            return "body", next((found.name for found in answers.task_ids(given) if len(found.path) == 1), "task_id")
        names = [one["name"] for one in self.poll.parameters() if one.get("in") == "query"]
        return "query", next((name for name in names if answers.id_words(name) is not None), "id")

    def _create(self) -> list[_Line]:
        lines = [_Line("method", self.create.method)] if self.create.method != "POST" else []
        lines.append(_Line("path", self._path(self.create, None)))
        media = self.create.request_media()
        if media and not operations.is_json(media[0].type):
            lines.append(_Line("encoding", "multipart"))
        wanted = answers.id_words(self.asked)
        ids = answers.task_ids(self.answer)
        ids.sort(key=lambda found: bool(wanted) and answers.id_words(found.name) != wanted)
        if ids:
            return [*lines, _Line("id", [found.jmespath for found in ids[:2]])]
        own = [f"data.{self.asked}", self.asked] if wanted else []
        why = self._guess("create.id", "the answer of the create is not documented")
        return [*lines, _Line("id", [*own, "id", "task_id", "data.id", "data.task_id"], why)]

    def _status(self) -> list[_Line]:
        lines = [_Line("method", "POST")] if self.poll.method == "POST" else []
        comment = f"guessed: {self.guessed['status.path']}" if "status.path" in self.guessed else ""
        lines.append(_Line("path", self._path(self.poll, self.asked if self.place == "path" else None), comment))
        if self.place == "query":
            lines.append(_Line("query", {self.asked: "{task_id}"}))
        elif self.place == "body":
            lines.append(_Line("body", self._poll_body()))
        values = answers.status_fields(self.told)
        if values:
            return [*lines, _Line("value", [values[0].jmespath]), self._map(values[0])]
        usual = ["status", "state", "data.status", "data.state", "data.task_status"]
        why = self._guess("status.value", "the answer of the poll documents no status")
        return [*lines, _Line("value", usual, why), _Line("map", _USUAL_MAP, self._guess("status.map", "usual words"))]

    def _poll_body(self) -> dict[str, Any]:
        body: dict[str, Any] = {self.asked: "{task_id}"}
        for media in self.poll.request_media()[:1]:
            for other in entries(answers.merged(self.document, media.schema).get("required")):
                if "model" in str(other):
                    body.setdefault(str(other), "{model}")
        return body

    def _map(self, value: answers.Field) -> _Line:
        words = self._words(value)
        table: dict[str | None, list[Any]] = {}
        for word, meaning in words:
            table.setdefault(_meaning(meaning), []).append(word)
        strange = [str(word) for word in table.pop(None, [])]
        if "succeeded" not in table:
            why = "the words of the status are not documented" if not words else "no word for success is documented"
            known = {status: [*table.get(status, []), *usual] for status, usual in _USUAL_MAP.items()}
            known = {status: list(dict.fromkeys(listed)) for status, listed in known.items()}
            return _Line("map", known, self._guess("status.map", why))
        order = {status: table[status] for status in (*_USUAL_MAP, "not_found") if status in table}
        comments = []
        if strange:
            comments.append(f"not told what it means: {one_line(', '.join(strange), 120)}")
            self.open.append(f"status.map: what {', '.join(strange)[:120]} means")
        if "failed" not in order:  # without a word for it, a failed task is waited for until the deadline
            told = {word for listed in table.values() for word in listed}
            order["failed"] = [word for word in _USUAL_MAP["failed"] if word not in told]
            comments.append(self._guess("status.map", "no word for a failure is documented"))
        if not isinstance(value.schema.get("enum"), list):
            comments.insert(0, self._guess("status.map", "read out of a description"))
        return _Line("map", order, "; ".join(comments))

    def _words(self, value: answers.Field) -> list[tuple[Any, str]]:
        """(word, meaning) of each status; numbers by what the description says of them."""
        found: list[Any] = []
        told = ""
        for same in self.told:
            if same.path == value.path:
                listed = same.schema.get("enum")
                found += [entry for entry in entries(listed) if entry not in found]
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
        pictures = [found for found in told if _THUMBNAIL.search(found.name) and found.schema.get("type") == "string"]
        if pictures:
            lines.append(_Line("thumbnail", [pictures[0].jmespath]))
        if fetch is not None:
            lines.append(_Line("fetch", {"path": self._path(fetch, self.asked)}))
        elif by_file is not None:
            lines.append(_Line("fetch", by_file[1]))
        if content is not None:
            lines.append(_Line("content", {"path": self._path(content, self.asked)}))
        return lines, videos if not content else [*videos, content.endpoint]

    def _fetched(self) -> Operation | None:
        """The second request after success: `/x/{id}` beside `/x/{id}/status`, where that one has the links."""
        if _links(self.told):
            return None
        parent, _, last = self.poll.path.rstrip("/").rpartition("/")
        if last.lower() != "status" or not is_parameter(parent.rpartition("/")[2]):
            return None
        return operations.at(self.document, "GET", parent) or operations.at(self.document, "GET", parent + "/result")

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
        if self.place != "path":
            return None
        base = self.poll.path.rstrip("/").removesuffix("/status")
        for ending in ("/content", "/download"):
            found = operations.at(self.document, "GET", base + ending)
            kinds = [media.type.lower() for media in found.success_media()] if found else []
            if any(kind.startswith(("video/", "application/octet-stream", "application/binary")) for kind in kinds):
                return found
        return None

    def _error(self) -> list[_Line]:
        messages, codes = [], []
        refusals = [said for code, said in self.create.responses().items() if re.match("[45]|default", code)]
        media = [body for response in refusals for body in self.create.response_media(response)[:1]]
        for found in (one for body in media for one in answers.walk(self.document, body.schema)):
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
        told = {"message": messages, "code": codes, "task_message": reasons}
        lines = [_Line(key, list(dict.fromkeys(paths))[:3]) for key, paths in told.items() if paths]
        return [_Line("error", lines)] if lines else []

    def _progress(self) -> list[_Line]:
        names = ("progress", "percent", "percentage", "progress_percent", "completion_percentage")
        paths = [found.jmespath for found in self.told if found.name in names and found.schema.get("type") != "object"]
        return [_Line("progress", {"path": paths[:1]})] if paths else []

    # -- what goes in

    def _inputs(self) -> list[_Line]:
        fields, required = self.fields, self.required
        holders = {f.path[0] for f in fields if len(f.path) > 1}
        free = [f for f in fields if f.path in (("input",), ("inputs",)) and f.path[0] not in holders]
        plain = [f for f in fields if f.schema.get("type", "string") not in ("object", "array") and 0 not in f.path]
        lines = []
        ranked = [(placeholders.prompt_rank(f.name), len(f.path), f) for f in plain]
        rank, _, prompt = min(ranked, key=lambda entry: entry[:2], default=(placeholders.NO_PROMPT, 0, None))
        covered = set()
        if prompt is not None and rank < placeholders.NO_PROMPT:
            unsure = rank > placeholders.IS_PROMPT
            comment = self._guess("inputs.prompt", "no field is called prompt") if unsure else ""
            needed = {"required": True} if prompt.path[0] in required else {}
            lines.append(_Line("prompt", {"to": _dotted(prompt), **needed}, comment))
            covered.add(prompt.path[0])
        elif free:
            why = self._guess("inputs.prompt", f"the specification does not say what is in {free[0].name}")
            lines.append(_Line("prompt", {"to": f"{free[0].name}.prompt"}, why))
            covered.add(free[0].path[0])
        else:
            self.open.append("inputs: no field for a prompt was found")
        for name, spellings in _INPUTS.items():
            found = next((f for s in spellings for f in plain if f.name == s), None)
            if found is None:
                continue
            entry: dict[str, Any] = {"to": _dotted(found)}
            kind = found.schema.get("type")
            if name in ("duration", "seed") and kind in ("integer", "number", "string"):
                entry["type"] = kind
            if name == "model" and found.path[0] in required:
                entry["required"] = True
            lines.append(_Line(name, entry))
            covered.add(found.path[0])
        image = self._image([f for f in fields if f.path[0] not in covered])
        if image is not None:
            lines.append(_Line("image", image[0]))
            covered |= image[1]
        missing = sorted(required - covered - {f.path[0] for f in fields if len(f.path) == 1 and "default" in f.schema})
        if missing:
            self.open.append(f"required, too, and given with --set NAME=VALUE: {', '.join(missing)[:200]}")
        return lines

    def _image(self, fields: list[answers.Field]) -> tuple[dict[str, Any], set[Any]] | None:
        """The entry of the input, and the fields of the body that it fills."""

        def rank(found: answers.Field) -> tuple[int, int]:
            return placeholders.media_rank(found.name, "image"), len(found.path)

        def kind(found: answers.Field) -> str:
            return str(found.schema.get("type", "string"))

        takes = [f for f in fields if kind(f) in ("string", "array") and 0 not in f.path]
        takes = [f for f in takes if answers.id_words(f.name) is None and rank(f)[0] < placeholders.NO_MEDIA]
        if not takes:
            return None
        takes.sort(key=rank)
        first = takes[0]
        ends = [f for f in takes if kind(f) == "string" and re.search("last|end|tail", f.name, re.IGNORECASE)]
        if ends and kind(first) == "string" and ends[0] is not first:
            roles = {"first_frame": {"to": _dotted(first)}, "last_frame": {"to": _dotted(ends[0])}}
            return {"roles": roles, "one_without_role": "first_frame"}, {first.path[0], ends[0].path[0]}
        return {"to": _dotted(first) + ("[+]" if kind(first) == "array" else "")}, {first.path[0]}

    def _models(self) -> list[_Line]:
        lines = []
        named = [f for f in self.fields if f.name in _INPUTS["model"] and f.schema.get("type", "string") == "string"]
        for found in named[:1]:
            default = found.schema.get("default")
            if isinstance(default, str) and default:
                lines.append(_Line("default_model", default))
            ids = [model for model in entries(found.schema.get("enum")) if isinstance(model, str) and model]
            if ids:
                lines.append(_Line("rehearsal_model", ids[0]))
                lines.append(_Line("models", [{"id": one} for one in dict.fromkeys(ids[:MAX_MODELS])]))
        return lines


def _meaning(word: str) -> str | None:
    """The canonical status that a provider's word means."""
    low = re.sub(r"[\s-]+", "_", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", word.strip())).lower()
    ended = next((status for status in _UNHAPPY if re.search(_VOCABULARY[status], low)), None)
    if ended is not None:
        return ended
    if _NOT_DONE.search(low):
        return "running"
    others = ("succeeded", "queued", "running") if "partial" not in low else ()
    return next((status for status in others if re.search(_VOCABULARY[status], low)), None)


def _links(told: list[answers.Field]) -> list[answers.Field]:
    """Fields that may hold the link of the finished video, the likeliest first."""
    ranked = []
    for found in told:
        names = [str(part) for part in found.path if isinstance(part, str)]
        kind = found.schema.get("type", "string")
        own = bool(re.search("video|mp4|movie", found.name, re.IGNORECASE))  # generated_images[].motionMP4URL
        if kind not in ("string", "array") or not _LINK.search(found.name) or _NO_RESULT.search(names[-1]):
            continue
        if (not own and any(map(_NO_RESULT.search, names[:-1]))) or (found.path[-1] != 0 and kind == "array"):
            continue  # of a list the entries follow, as [..., 0]
        described = f"{found.schema.get('description') or ''} {found.schema.get('example') or ''}".lower()
        linky = bool(re.search("url|uri|link|href|^download$", found.name, re.IGNORECASE))
        linky = linky or found.schema.get("format") == "uri"
        about = own or bool(re.search("video|result", " ".join(names), re.IGNORECASE))
        about = about or "video" in described or ".mp4" in described
        if linky or about or names[-1] in ("output", "outputs"):
            ranked.append((-2 * about - linky, len(found.path), found))
    ranked.sort(key=lambda entry: entry[:2])
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

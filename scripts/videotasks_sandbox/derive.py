"""A dialect made from a profile, for an API that has no dialect of its own.

The answers stand where the profile looks for them. So a rehearsal shows that the file fits together, that every path is
read and every input placed; whether the API is as the file says, only its contract can tell.
"""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any
from urllib.parse import urlsplit

from videotasks_sandbox.dialect import DialectError, merged

_PLAIN = re.compile(r"[A-Za-z_]\w*(?:\[\d*\])*(?:\.[A-Za-z_]\w*(?:\[\d*\])*)*")
_PHASES = ("queued", "running", "succeeded", "failed", "cancelled", "expired")
# Refusal -> (the client's category, HTTP status, what it says).
_REFUSALS = {
    "unauthorised": ("auth", 401, "the key is not valid"),
    "invalid": ("validation", 400, "$message"),
    "no_credits": ("insufficient_credits", 402, "no credits are left"),
    "rate_limited": ("rate_limited", 429, "too many requests"),
    "unknown_task": ("not_found", 404, "there is no task $id"),
    "no_route": ("not_found", 404, "$method $url_path does not exist"),
    "broken": ("transient", 500, "internal error"),
}

_OF_THE_FILE = {"file_name", "name", "mime", "size", "sha256", "model"}  # known without an answer

Document = dict[str, Any]


def derive(profile: Document) -> Document:
    """The dialect document for a profile's plain document, its kinds included.

    Raises DialectError for what has no plain place in an answer, such as a status that is told only by rules.
    """
    name = str(profile["name"])
    status = profile.get("status") or {}
    words = {phase: _typed(spellings[0]) for phase, spellings in (status.get("map") or {}).items() if spellings}
    missing = [phase for phase in ("running", "succeeded", "failed") if phase not in words]
    if missing:
        raise DialectError(
            f"no stand-in can be derived from the profile {name}: its status.map has no word for {', '.join(missing)}"
        )
    words = {phase: word for phase, word in words.items() if phase in _PHASES}
    words.setdefault("queued", words["running"])
    kinds = [merged(profile, kind or {}) for kind in (profile.get("kinds") or {}).values()]
    calls = [call for each in (profile, *kinds) for call in _calls(each)]
    auth = profile.get("auth") or {}
    return {
        "name": name,
        "prefix": urlsplit(str(profile["base_url"])).path.rstrip("/"),
        "auth": {key: auth[key] for key in ("header", "prefix") if key in auth},
        "links": {"renewed": True},
        "words": words,
        "always": [_header_check(header, str(value)) for header, value in (profile.get("headers") or {}).items()],
        "refusals": {key: _refusal(profile, *row) for key, row in _REFUSALS.items()},
        "calls": calls,
    }


def _calls(profile: Document) -> list[Document]:
    calls = [_create(profile), _status(profile)]
    for name, make in (("cancel", _cancel), ("list", _list), ("credits", _credits), ("upload", _upload)):
        if profile.get(name):
            calls += make(profile, profile[name])
    result = profile.get("result") or {}
    if result.get("fetch"):
        at = _address(profile, _by_id(result["fetch"]), "GET")
        calls.append({**at, "does": "show", "answer": _result(profile, _envelope(profile))})
    if result.get("content"):
        at = _address(profile, _by_id(result["content"]), "GET")
        calls.append({**at, "does": "show", "answer": {"$file": "video.mp4"}})
    return calls


def _by_id(second: Document) -> Document:
    """A second call with its own value in the address, such as a file's id: here that is the task's id again."""
    path = str(second.get("path") or "")
    for name in second.get("values") or {}:
        path = path.replace(f"{{{name}}}", "{task_id}")
    return {**second, "path": path}


# -- one call each --


def _create(profile: Document) -> Document:
    create, inputs = profile["create"], profile.get("inputs") or {}
    listed = isinstance(create.get("wrap"), list)
    body = "body[0]" if listed else "body"
    path = _route(create["path"])
    model = "$path.model" if "{model" in path else _value(inputs.get("model"), body)
    fields = {}
    for given in inputs.values():
        to = str((given or {}).get("to") or "") if isinstance(given, dict) else ""
        if _PLAIN.fullmatch(to) and "[" not in to and not given.get("as"):
            kind = given.get("type") if given.get("type") in ("integer", "number", "string", "boolean") else ""
            fields[to] = {"type": kind or "", "required": bool(given.get("required"))}
    made: Document = {
        "on": f"{create.get('method', 'POST')} {path}",
        "does": "create",
        "body": "array" if listed else None,
        "checks": [] if listed else [{"fields": fields}],
        "makes": {
            "id": "$hex24",
            "model": model,
            "seconds": _value(inputs.get("duration"), body),
            **{name: _value(inputs.get(name), body) for name in ("prompt", "ratio", "resolution", "size")},
        },
    }
    idempotency = profile.get("idempotency") or {}
    if idempotency.get("on_reuse") == "replay":
        header = str(idempotency.get("header") or "").lower()
        made["repeats"] = f'$(headers."{header}")' if header else f"$({body}.{idempotency.get('body')})"
    elif idempotency.get("on_reuse") == "lookup" and idempotency.get("body"):
        made["makes"]["id"] = f"$({body}.{idempotency['body']})"
    answer = _envelope(profile)
    put(answer, _path(create.get("id", "id"), "create.id"), "$id")
    put(answer, _status_path(profile), "$status")
    for name, where in (create.get("follow") or {}).items():
        put(answer, _path(where, f"create.follow.{name}"), f"$base/derived/{name}/$id")
    for name, where in (create.get("keep") or {}).items():
        put(answer, _path(where, f"create.keep.{name}"), f"kept-{name}")
    made["answer"] = answer
    return made


def _status(profile: Document) -> Document:
    status, progress = profile["status"], profile.get("progress") or {}
    shown = _envelope(profile)
    put(shown, _path(status.get("id") or profile["create"].get("id", "id"), "status.id"), "$id")
    put(shown, _status_path(profile), "$status")
    if progress.get("path"):
        share = "$fraction" if progress.get("scale") == "fraction" else "$progress"
        put(shown, _path(progress["path"], "progress.path"), share)
    failed, error = deepcopy(shown), profile.get("error") or {}
    put(failed, _path(error.get("task_message") or error.get("message", "error.message"), "error"), "$reason")
    moderated = _code_for(error, "moderation")
    place = _first_plain(error.get("task_code") or error.get("code", "error.code"))
    if moderated and place and place != _status_path(profile):
        put(failed, place, f"$(moderated && '{moderated}' || 'generation_failed')")
    result = profile.get("result") or {}
    ended = deepcopy(shown)
    for second in (result.get("fetch"), result.get("content")):
        for name, where in ((second or {}).get("values") or {}).items():
            put(ended, _path(where, f"result: {name}"), "$id")
    succeeded = ended if result.get("fetch") else _result(profile, ended)
    answer = {"$phase": {"succeeded": succeeded, "failed": failed, "else": shown}}
    return {**_address(profile, status, "GET"), "does": "status", "answer": answer}


def _result(profile: Document, shown: Document) -> Document:
    """`shown` with the links in the places of the result; without them in the scenario no-result."""
    result = profile.get("result") or {}
    full = deepcopy(shown)
    for member, value in (("video", "$video"), ("last_frame", "$last_frame"), ("thumbnail", "$thumbnail")):
        place = _first_plain(result.get(member) or ())
        if place:
            put(full, place, value)
        elif member == "video" and not result.get("content"):
            raise DialectError(f"no stand-in can be derived: result.video has no plain path: {result.get('video')}")
    cost = (result.get("cost") or {}).get("path")
    if cost and (place := _first_plain(cost)):
        put(full, place, 10)
    return {"$choose": [{"when": "bare", "then": shown}, {"then": full}]}


def _cancel(profile: Document, cancel: Document) -> list[Document]:
    phases = [str(phase) for phase in cancel.get("only_when") or ("queued", "running")]
    condition = " && ".join(f"phase != '{phase}'" for phase in phases)
    answer = _envelope(profile)
    put(answer, _status_path(profile), "$status")
    call = {**_address(profile, cancel, "POST"), "does": "act", "acts": dict.fromkeys(phases, "cancel")}
    call["body"] = call.get("body") or "optional"
    return [{**call, "checks": [{"when": condition, "message": "the task is $phase"}], "answer": answer}]


def _list(profile: Document, listed: Document) -> list[Document]:
    item: Document = {}
    for member, value in (("id", "$id"), ("model", "$model"), ("status", "$status"), ("created_at", "$created")):
        put(item, _path(listed.get(member, member), f"list.{member}"), value)
    answer = _envelope(profile)
    put(answer, _path(listed.get("items", "items"), "list.items").removesuffix("[]"), "$items")
    on = f"{listed.get('method', 'GET')} {_route(listed['path'])}"
    return [{"on": on, "does": "list", "body": "optional", "list": {"item": item}, "answer": answer}]


def _credits(profile: Document, credits: Document) -> list[Document]:
    answer = _envelope(profile)
    if not (balance := _first_plain(credits.get("balance") or ())):
        return []  # a sum or the like: the rehearsal goes without a balance
    put(answer, balance, "$left")
    for place in credits.get("minus") or ():
        put(answer, _path(place, "credits.minus"), 0)
    return [{"on": f"GET {_route(credits['path'])}", "answer": answer}]


def _upload(profile: Document, upload: Document) -> list[Document]:
    how, init, calls = upload.get("how", "put"), upload.get("init"), []
    entry = {"by": {"put": "PUT", "post": "POST", "multipart": "part"}.get(how, "body"), "key": "uploads/$hex20"}
    key = _first_plain(upload.get("key") or ()) or ""
    own_file = key.startswith("file.")  # told by the client's own reading of the file
    if init:
        named = set(re.findall(r"\{(\w+)\}", str(upload.get("path") or ""))) - _OF_THE_FILE
        mime = next((path for path, value in _leaves(init.get("body") or {}) if value == "{mime}"), None)
        answer = _envelope(profile)
        if key and not own_file:
            put(answer, key, "$upload_key" if how in ("put", "post") else "$hex20")
        for name in named:  # which the address of the upload takes from this answer
            answer[name] = "$hex20"
        if upload.get("put_url"):
            put(answer, _path(upload["put_url"], "upload.put_url"), "$upload_url")
        kind = {**entry, "type": f"$body.{mime}" if mime else ""} if how in ("put", "post") else None
        on = f"{init.get('method', 'POST')} {_route(init['path'])}"
        calls.append(
            {"on": on, "body": "optional", "answer": answer, **({"does": "upload", "upload": kind} if kind else {})}
        )
    if how in ("multipart", "raw"):
        answer = _envelope(profile)
        if key and not own_file:
            put(answer, key, "https://media.sandbox.invalid/$upload_key")
        made = {"on": f"POST {_route(upload['path'])}", "does": "upload", "body": "raw", "answer": answer}
        calls.append({**made, "upload": {**entry, "part": upload.get("part", "file")}})
    return calls


# -- addresses --


def _route(path: str) -> str:
    """A profile's path as a route: {task_id} is {id}, {model} may hold slashes, a query is no part of it."""
    return path.partition("?")[0].replace("{task_id}", "{id}").replace("{model}", "{model**}")


def _address(profile: Document, verb: Document, method: str) -> Document:
    """Where a look or a cancel goes, and where in it the task's id is."""
    on = f"{verb.get('method', method)} "
    if verb.get("url_from"):
        return {"on": f"{on}/derived/{verb['url_from']}/{{id}}"}
    path = _route(str(verb["path"]))
    if profile["status"].get("raw_id"):
        path = path.replace("{id}", "{id**}")
    if "{id" in path:
        return {"on": on + path}
    pairs = [pair.partition("=")[::2] for pair in str(verb["path"]).partition("?")[2].split("&")]
    for name, value in [*pairs, *(verb.get("query") or {}).items()]:
        if value == "{task_id}":
            return {"on": on + path, "task": f"$query.{name}"}
    listed = {"body": "array"} if isinstance(verb.get("body"), list) else {}
    for place, value in _leaves(verb.get("body")):
        if value == "{task_id}":
            there = f"body{'' if listed else '.'}{place}"
            return {"on": on + path, "task": f"$({there})", **listed, "when": there}
    raise DialectError(f"no stand-in can be derived: {verb.get('path')} holds no {{task_id}}")


def _leaves(value: Any, path: str = "") -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [leaf for key, inner in value.items() for leaf in _leaves(inner, f"{path}.{key}" if path else str(key))]
    if isinstance(value, list):
        return [leaf for index, inner in enumerate(value) for leaf in _leaves(inner, f"{path}[{index}]")]
    return [(path, value)]


def _header_check(header: str, value: str) -> Document:
    wrong = "== null" if "{" in value else f"!= '{value}'"
    return {"when": f'headers."{header.lower()}" {wrong}', "message": f"the header {header} is missing or wrong"}


# -- places in bodies --


def put(body: Document, path: str, value: Any) -> None:
    """Puts a value where a plain path finds it: `a.b`, `a[0].b`, `a[].b`."""
    *outer, (name, listed) = re.findall(r"([A-Za-z_]\w*)((?:\[\d*\])*)", path)
    at: Any = body
    for step, in_list in outer:
        if not isinstance(at.get(step), list if in_list else dict):
            at[step] = [{}] if in_list else {}
        at = at[step][0] if in_list else at[step]
    at[name] = [value] if listed else value


def _first_plain(paths: Any) -> str:
    """The first plain path among the candidates, else the first that an expression begins with, else ""."""
    candidates = [paths] if isinstance(paths, str) else [str(each) for each in paths]
    begun = (re.match(_PLAIN.pattern + "(?= )", each) for each in candidates)
    plain = [each for each in candidates if _PLAIN.fullmatch(each)]
    return (plain + [match.group() for match in begun if match] + [""])[0]


def _path(paths: Any, knob: str) -> str:
    path = _first_plain(paths)
    if not path:
        raise DialectError(f"no stand-in can be derived: {knob} has no plain path: {paths}")
    return path


def _status_path(profile: Document) -> str:
    return _path(profile["status"].get("value", "status"), "status.value")


def _value(given: Any, body: str) -> str | None:
    """Where an input is found in the body again; a list of parts is read by the member that holds the value."""
    if not isinstance(given, dict) or not given.get("to"):
        return None
    to = str(given["to"])
    if _PLAIN.fullmatch(to):
        return f"$({body}.{to})"
    held = next((path for path, value in _leaves(given.get("as")) if value == "{value}"), "")
    return f"$({body}.{to.removesuffix('[+]')}[].{held} | [0])" if to.endswith("[+]") and held else None


def _typed(word: Any) -> Any:
    """A status word that is a number in the API's answers is one in the profile's quotes only."""
    return int(word) if str(word).isdigit() else word


def _code_for(error: Document, category: str) -> Any:
    codes = (error.get("categories") or {}).items()
    return next((code for code, named in codes if named == category and "*" not in code), "")


def _in_band(error: Document) -> list[Document]:
    told = error.get("in_band") or []
    return [told] if isinstance(told, dict) else list(told)


def _envelope(profile: Document) -> Document:
    """What every good answer carries: the values that say that it is no error."""
    body: Document = {}
    for rule in _in_band(profile.get("error") or {}):
        place = _first_plain(rule.get("path") or ())
        if place and rule.get("required", True) and rule.get("ok"):
            put(body, place, rule["ok"][0])
    return body


def _refusal(profile: Document, category: str, status: int, message: str) -> Document:
    error = profile.get("error") or {}
    body: Document = {}
    code = _code_for(error, category) or (str(status) if category != "validation" else "invalid")
    place = _first_plain(error.get("code", "error.code"))
    if place:
        put(body, place, _typed(code))
    phrase = next((text for text, named in (error.get("phrases") or {}).items() if named == category), "")
    put(body, _path(error.get("message", "error.message"), "error.message"), f"{message} {phrase}".strip())
    for rule in _in_band(error):
        where = _first_plain(rule.get("path") or ())
        if where and where != place:
            put(body, where, False if rule.get("type") == "boolean" else _typed(code))
    return {"http": status, "body": body}

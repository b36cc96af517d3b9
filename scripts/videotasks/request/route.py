"""Where a create goes: from a model by the profile's templates, or from an endpoint that the user named. Pure."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote, urlsplit

from videotasks.core.errors import configuration_error
from videotasks.core.record import record
from videotasks.providers.profile import Profile


@record(frozen=True)
class Target:
    """Paths under the base URL. `stream_path` is the event-stream variant of the same create, if there is one."""

    path: str
    stream_path: str | None = None
    model: str | None = None


def of_model(profile: Profile, model: str | None) -> Target:
    """The create paths for a model; ids of several segments are encoded segment by segment."""
    stream = (profile.create.stream or {}).get("path")
    return Target(_filled(profile.create.path, model), _filled(stream, model) if stream else None, model)


def resolve(profile: Profile, endpoint: str) -> Target:
    """The paths for an endpoint as documentation or an inspector prints it.

    Takes a URL on the profile's own origin, a path with or without the base path, with or without `POST ` before it,
    the stream variant or the plain one. Raises TaskError(CONFIGURATION) for another origin: the key would go there.
    """
    path, query = _relative(profile, endpoint)
    stream_template = (profile.create.stream or {}).get("path")
    for template in (stream_template, profile.create.path):
        if template and (model := _match(template, path)) is not None:
            found = of_model(profile, model or None)
            return Target(found.path + query, found.stream_path + query if found.stream_path else None, model or None)
    # An endpoint that fits no template is taken at its word; where the provider streams, it may stream too.
    return Target(path + query, path + query if stream_template else None)


def as_typed(endpoint: str) -> str:
    """An endpoint as the user typed it, without its method, origin and outer blanks."""
    text = re.sub(r"^POST\s+", "", endpoint.strip())
    return re.sub(r"^https?://[^/]*", "", text).rstrip("/")


def _filled(template: str, model: str | None) -> str:
    if "{model}" not in template:
        return template
    segments = (model or "").strip("/").split("/")
    if any(not part or part in (".", "..") or not part.isprintable() for part in segments):
        raise configuration_error(f"{model!r} is no model id", expected="an id such as provider/model")
    return template.replace("{model}", "/".join(quote(part, safe=":@~") for part in segments))


def _relative(profile: Profile, endpoint: str) -> tuple[str, str]:
    text = re.sub(r"^POST\s+", "", endpoint.strip())
    parts = urlsplit(text) if text.isprintable() and "\\" not in text and " " not in text else None
    if parts is None or parts.fragment or not (parts.path.strip("/")):
        raise configuration_error(f"{endpoint!r} is no endpoint", expected="a path such as " + profile.create.path)
    base = urlsplit(profile.base_url)
    if (parts.scheme or parts.netloc) and not profile.is_own(text):
        raise configuration_error(
            f"the endpoint is not on {base.scheme}://{base.netloc}: the key of {profile.name} would go to another host",
            expected="a path, or a URL on that origin",
            hint="to use another origin, name it by --base-url",
        )
    path = "/" + parts.path.lstrip("/")
    if any(unquote(part) in (".", "..") for part in path.split("/")):
        raise configuration_error(f"{endpoint!r} is no endpoint", expected="a path without . or .. segments")
    # Specifications write the same call as /generation/x, /v1/generation/x and /api/v1/generation/x.
    prefix = base.path.rstrip("/")
    while prefix:
        if path.startswith(prefix + "/"):
            path = path[len(prefix) :]
            break
        prefix = prefix[prefix.index("/", 1) :] if "/" in prefix[1:] else ""
    return path, f"?{parts.query}" if parts.query else ""


def _match(template: str, path: str) -> str | None:
    """The model in `path` by `template`; "" when the template has none and fits; None when it does not fit."""
    pattern = re.escape(template).replace(r"\{model\}", "(?P<model>.+)") + r"/?\Z"
    found = re.match(pattern, path)
    if not found:
        return None
    return unquote(found.groupdict().get("model") or "").strip("/")

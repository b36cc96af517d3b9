"""The live specification of a model, as the profile's `specification` says where and how: a free look before paying.

It has five seconds and never stops a create. The key goes only to the API's own origin (`path`), never to an address
that the profile names for its documents (`url`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import Any
from urllib.parse import quote

from videotasks.catalogue import cached_fetch, specification
from videotasks.catalogue.cached_fetch import Got, Unavailable
from videotasks.core import times
from videotasks.core.record import replace
from videotasks.formats import jmespath_eval
from videotasks.openapi import document, operations
from videotasks.openapi.source import SpecError
from videotasks.providers.known_model import CATALOGUE, SPECIFICATION, Known
from videotasks.providers.profile import Model, Profile, SpecificationSource

BUDGET_S = 5.0
Asker = Callable[[str], Callable[[str | None], Got]]


def look_up(
    profile: Profile, model: str, known: Known, *, ask_url: Asker, ask_path: Asker | None, now: float
) -> Known | None:
    """The model by the first source of the profile that has it. Raises Unavailable with the reason of the last."""
    reason = ""
    for source in profile.specification:
        try:
            for address, asker in _addresses(source, model, known, ask_url, ask_path, now):
                where = address if "://" in address else profile.base_url + address
                found = cached_fetch.fetch(where, asker(address), now=now)
                if made := _read(profile, source, model, found.body):
                    notes = ("the live specification could not be asked for today; a copy is used",)
                    date = times.iso(found.at)[:10]
                    return Known(made, SPECIFICATION, where, date, known.ids, notes if found.stale else ())
        except Unavailable as error:
            reason = str(error)
    if reason:
        raise Unavailable(reason)
    return None


def combined(known: Known, theirs: Known) -> Known:
    """The live description where ours is none or a guess; ours where both are documents, and how they differ."""
    ours, live = known.model, theirs.model
    if ours is None or live is None or known.source != CATALOGUE or ours.inferred_from:
        return theirs
    # What was printed of its price is of our day, not of the specification's.
    price = {"date": known.date, "source": known.where, **ours.price} if ours.price else None
    notes = tuple(
        f"sources differ, the shipped catalogue is used: {one} in {theirs.where} of {theirs.date}"
        for one in _differences(ours, live)[:5]
    )
    if ours.fields is None:  # ours has limits only: names are theirs
        made = replace(live, limits={**live.limits, **ours.limits}, inputs=ours.inputs, price=price)
        return replace(theirs, model=made, notes=(*theirs.notes, *notes))
    if ours.partial:
        fields, members = {**(live.fields or {}), **ours.fields}, {**live.members, **ours.members}
        made = replace(live, fields=fields, members=members, limits=ours.limits, price=price)
        return replace(theirs, model=made)
    return replace(known, notes=notes or (f"the live specification says the same ({theirs.where}, {theirs.date})",))


def _differences(ours: Model, theirs: Model) -> list[str]:
    found = []
    for key, member in (ours.fields or {}).items():
        other, option = (theirs.fields or {}).get(key), f"--{key.replace('.', ' ')}"
        if member.replace("[+]", "") not in theirs.members:
            found.append(f"{option} is {member!r} here and {other!r}" if other else f"{member!r} ({option}) is not")
    for name in ("duration", "ratio", "resolution"):
        mine, live = ours.allowed(name), theirs.allowed(name)
        if mine and live and _plain(mine) != _plain(live):
            found.append(f"--{name} may be {_shown(mine)} here and {_shown(live)}")
    return found


def _plain(limit: Any) -> Any:
    if isinstance(limit, Mapping):
        return {
            key: [float(one) for one in value] if isinstance(value, list) else value
            for key, value in limit.items()
            if value is not None
        }
    return {str(one).casefold() for one in limit}


def _shown(limit: Any) -> str:
    if isinstance(limit, Mapping):
        return ", ".join(map(str, limit["enum"])) if limit.get("enum") else f"{limit.get('min')} to {limit.get('max')}"
    return ", ".join(map(str, limit))


def _addresses(
    source: SpecificationSource, model: str, known: Known, ask_url: Asker, ask_path: Asker | None, now: float
) -> Any:
    """(address, how to ask it) of the documents in which the model may be described."""
    page = known.model.page if known.model else None
    name, _, version = model.partition(":")
    values = {"model": quote(model, safe="/:@~"), "page": quote(page, safe="/") if page else "",
              "name": quote(name, safe="/"), "version": quote(version, safe="")}  # fmt: skip
    if source.path is not None:
        if "{version}" in source.path and not version:
            return
        if ask_path is None:
            raise Unavailable("it is asked for with the key, and none is set")
        yield _filled(source.path, values), ask_path
        return
    assert source.url is not None
    if "{page}" not in source.url or page:
        yield _filled(source.url, values), ask_url
    elif source.index:
        index = cached_fetch.fetch(source.index, ask_url(source.index), now=now).body
        base = source.url.partition("{page}")[0]
        for address in _indexed(source, model, index):
            if address.startswith(base):  # the profile's own host and folder, whatever the index links
                yield address, ask_url


def _indexed(source: SpecificationSource, model: str, index: bytes) -> list[str]:
    """The addresses that an index gives for a model: at `page` in its JSON, else of the pages named like it."""
    if source.page is None:
        found = page_addresses(index.decode("utf-8", "replace"), model)
        return [address if address.endswith(".md") else address + ".md" for address in found]
    try:
        told = jmespath_eval.evaluate(source.page.replace("{model}", model.replace("'", "")), json.loads(index))
    except (ValueError, RecursionError):
        return []
    return [told] if isinstance(told, str) else []


def _filled(template: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        template = template.replace("{" + name + "}", value)
    return template


def _read(profile: Profile, source: SpecificationSource, model: str, body: bytes) -> Model | None:
    try:
        if source.shape == "page":
            for block in specifications(body.decode("utf-8", "replace")):
                name = "page.json" if block.lstrip().startswith(b"{") else "page.yaml"
                if made := _by_operation(profile, model, document.from_bytes(block, name, None), last=False):
                    return made
            return None
        told = json.loads(body)
        if source.at:
            told = jmespath_eval.evaluate(source.at.replace("{model}", model.replace("'", "")), told)
        if not isinstance(told, dict):
            return None
        if source.shape == "limits":
            return Model(id=model, limits=_limits(source.limits, told))
        if source.shape == "schema":
            told = _wrapped(told, source)
        found = document.from_bytes(json.dumps(told).encode(), "live.json", None)
        return _by_operation(profile, model, found, last=True)
    except (ValueError, RecursionError, SpecError, KeyError, TypeError, AttributeError):
        return None  # a document that is none describes nothing; the create goes on with what is known


def _limits(paths: Mapping[str, str], told: Any) -> dict[str, Any]:
    found = {name: jmespath_eval.evaluate(path, told) for name, path in paths.items()}
    return {
        name: {"enum": one} if name == "duration" and isinstance(one, list) else one
        for name, one in found.items()
        if isinstance(one, (list, dict)) and one
    }


def _wrapped(told: dict[str, Any], source: SpecificationSource) -> dict[str, Any]:
    """A schema, or a document whose schema has no path of its own, as the body of one operation."""
    schema: Any = {"$ref": source.schema} if source.schema else told
    if source.into:
        schema = {"type": "object", "properties": {source.into: schema}, "required": [source.into]}
    body = {"requestBody": {"content": {"application/json": {"schema": schema}}}}
    components = told.get("components") if source.schema else None
    return {"openapi": "3.1.0", "info": {}, "paths": {"/": {"post": body}}, "components": components or {}}


def _by_operation(profile: Profile, model: str, found: document.Document, *, last: bool) -> Model | None:
    """The create of this model: at its own path, else (`last`) the only one that there is."""
    creates = [one for one in operations.iterate(found) if one.method == "POST"]
    path = profile.create.path.replace("{model}", model)
    fitting = [one for one in creates if one.path.rstrip("/").endswith(path)]
    if not fitting and "{model}" not in profile.create.path:
        fitting = creates[:1]
    if not fitting and last and len(creates) == 1:
        fitting = creates
    for one in fitting:
        if made := specification.model_of_operation(profile, model, one):
            return made
    return None


def with_live(profile: Profile, model: str, known: Known, *, dry_run: bool) -> Known:
    """`known` with what the live source says: asked for in a dry run, and where ours is none or a guess.

    An address is asked only while the API is at its own origin: another gateway is described by nobody here; a
    <NAME>_SPECIFICATION_URL of the user's own takes its place. Never raises: what fails is a note.
    """
    from videotasks.core.errors import TaskError
    from videotasks.core.workers import CallTimedOut, Mailbox

    ours = known.model
    needed = ours is None or ours.inferred_from is not None or ours.partial
    if ours is not None and ours.fields is None:  # limits only: the names are told where bodies are
        needed = any(one.shape != "limits" for one in profile.specification)
    if not profile.specification or not (dry_run or needed):
        return known
    try:
        found = Mailbox().call(lambda: asked(profile, model, known), timeout=BUDGET_S)
    except (Unavailable, TaskError, CallTimedOut) as error:
        reason = "no answer in time" if isinstance(error, CallTimedOut) else str(error)
        return replace(known, notes=(f"the live specification was not asked: {reason[:200]}",))
    return combined(known, found) if found else known


def asked(profile: Profile, model: str, known: Known, *, seconds: float = BUDGET_S - 0.5) -> Known | None:
    """What the sources that may be asked from here say of a model. Raises Unavailable."""
    import time

    sources = (_from_here(profile, one, "SPECIFICATION_URL") for one in profile.specification)
    local = replace(profile, specification=tuple(one for one in sources if one is not None))
    if not profile.specification and (told := profile.capabilities):  # they tell the limits of each model
        at = f"{told.models}[?{told.id}=='{{model}}'] | [0]"
        source = SpecificationSource(path=told.path, shape="limits", at=at, limits=told.limits)
        local = replace(local, specification=(source,))
    public = partial(cached_fetch.public_asker, seconds=seconds)
    return look_up(local, model, known, ask_url=public, ask_path=_keyed_asker(local), now=time.time())


def listed(profile: Profile, search: str) -> list[Model]:
    """The models that the provider lists now, with what its list says of them. Raises Unavailable with the reason."""
    import time

    from videotasks.core.workers import CallTimedOut, Mailbox

    source = profile.model_list and _from_here(profile, profile.model_list, "MODELS_URL")
    if source is None:
        raise Unavailable(f"{profile.name} has no list of its models that is known here")
    address = _filled(source.url or source.path or "", {"search": quote(search, safe="")})
    asker = cached_fetch.public_asker(address, seconds=2 * BUDGET_S) if source.url else _keyed(profile)(address)
    where = address if source.url else profile.base_url + address
    try:
        fetch = partial(cached_fetch.fetch, where, asker, now=time.time(), fresh_s=0)
        told = json.loads(Mailbox().call(fetch, timeout=2 * BUDGET_S).body)
    except CallTimedOut:
        raise Unavailable("no answer in time") from None
    except (ValueError, RecursionError):
        raise Unavailable("the answer is no JSON") from None
    rows = []
    for one in jmespath_eval.values(source.items, told):
        if name := jmespath_eval.first_string([source.id], one):
            note = jmespath_eval.first_string([source.note], one) if source.note else None
            rows.append(Model(id=name, note=note, limits=_limits(source.limits, one)))
    return rows


def price_addresses(profile: Profile, spec: Mapping[str, Any], model: str, known: Known) -> Any:
    """(address, how to ask it) of the calls that tell a model's rates. Raises Unavailable.

    To an address beside the API's the key goes only where the profile says so (`key`).
    """
    import time
    from urllib.parse import urlsplit

    told = SpecificationSource(**{knob: spec[knob] for knob in ("url", "path", "index", "page") if spec.get(knob)})
    source = _from_here(profile, told, "PRICES_URL")
    if source is None:
        raise Unavailable(f"what {profile.name} charges at another origin is not told anywhere")
    ask: Asker = partial(cached_fetch.public_asker, seconds=BUDGET_S - 0.5)
    if source.path is not None:
        ask = _keyed(profile)
    elif spec.get("key"):
        from videotasks.network import origins

        parts = urlsplit(source.url)
        origin = origins.checked_base_url(f"{parts.scheme}://{parts.netloc}", source="the address of prices")
        ask = _keyed(profile.with_base_url(origin))
    return _addresses(source, model, known, ask, ask, time.time())


def _from_here(profile: Profile, source: Any, setting: str) -> Any:
    """A source as it may be asked from here, or None.

    The user's own <NAME>_<setting> takes its place; the API's own path is asked wherever the API is, and an address
    only while that is at its own origin: another gateway is described by nobody here.
    """
    from videotasks.providers import credentials

    if own := credentials.setting(profile, setting)[1]:
        beside = {"index": None, "page": None} if isinstance(source, SpecificationSource) else {}
        return replace(source, url=own, path=None, **beside)
    return source if source.path is not None or profile.base_url == profile.shipped_base_url else None


def _keyed(profile: Profile) -> Asker:
    asker = _keyed_asker(profile)
    if asker is None:
        raise Unavailable(f"it is asked for with the key, and none is set ({profile.auth.env[0]})")
    return asker


def _keyed_asker(profile: Profile) -> Asker | None:
    """Asks a path of the API with its key; None without a key."""
    from videotasks.core.errors import TaskError
    from videotasks.network.errors import NoAnswer
    from videotasks.providers import credentials
    from videotasks.providers.provider import Provider

    try:
        key = credentials.find_key(profile)
    except TaskError:
        return None
    if key is None:
        return None
    provider = Provider(profile, key)

    def ask(address: str, etag: str | None) -> Got:
        client = provider.client()
        try:
            told = provider.get_json(address, client=client, timeout=BUDGET_S - 0.5)
        except (TaskError, NoAnswer) as error:
            raise Unavailable(str(error)) from None
        finally:
            client.close()
        return Got(json.dumps(told).encode("utf-8"))

    return lambda address: partial(ask, address)


# -- the specification inside a page of documentation: only the fenced block is taken, never the page's prose --
# Mintlify hosts answer `<page>.md` with `````yaml <file> <METHOD> <path>`` and the operation's OpenAPI, Apidog hosts
# with a whole document in a yaml fence, GitBook hosts with one in a json fence; `llms.txt` lists the pages.

_FENCE = re.compile(r"(`{3,})[ \t]*(yaml|yml|json)\b[^`]*\Z")
_IS_SPECIFICATION = re.compile(r"""[ \t]*\{?[ \t]*["']?(openapi|swagger)["']?[ \t]*:""")
_LINK = re.compile(r"https?://[^\s<>()\"'`]{1,500}")
MAX_BLOCKS = 8
MAX_LINES = 200_000  # a second's work
MAX_LINKS = 20_000


def specifications(page: str) -> Iterator[bytes]:
    """Fenced blocks that look like an OpenAPI document, in the order of the page. One pass: a page may be hostile."""
    found, fence, block, is_one = 0, "", list[str](), False
    for line in page.split("\n", MAX_LINES)[:MAX_LINES]:
        if not fence:
            opened = _FENCE.match(line[:200].rstrip("\r"))
            fence, block, is_one = (opened[1] if opened else ""), [], False
        elif line.rstrip() != fence:
            block.append(line)
            is_one = is_one or bool(_IS_SPECIFICATION.match(line[:200]))
        else:
            fence = ""
            if is_one and found < MAX_BLOCKS:
                found += 1
                yield ("\n".join(block) + "\n").encode("utf-8")


def page_addresses(index: str, model: str, most: int = 3) -> list[str]:
    """The addresses of an index that are likely pages of this model: by the words that both have, best first."""
    wanted = _words(model)
    scored: list[tuple[float, int, str]] = []
    for number, match in enumerate(islice(_LINK.finditer(index), MAX_LINKS)):
        address = match[0].rstrip(".,")
        have = _words(address.rpartition("/")[2].removesuffix(".md"))
        both = len(wanted & have)
        if both:
            scored.append((-both / len(wanted | have), number, address))
    return list(dict.fromkeys(address for _, _, address in sorted(scored)))[:most]


def _words(text: str) -> set[str]:
    """`kling-ai/kling-v2.6` -> kling, ai, v26: slugs drop the dots."""
    return {word for word in re.split(r"[^a-z0-9]+", text.casefold().replace(".", "")) if word}

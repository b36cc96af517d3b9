"""A provider profile as frozen records: what the YAML says, typed.

`Paths` are ordered JMESPath candidates (formats/jmespath_eval.py). Every knob has a default, so that a profile states
only what its API has; what an API lacks is None. The format is described in
shared/schemas/provider-profile.schema.json.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from videotasks.core.errors import TaskError, configuration_error
from videotasks.core.record import field, record, replace
from videotasks.core.task import Status
from videotasks.formats import scalars

Paths = tuple[str, ...]
Table = Mapping[str, Any]


@record(frozen=True)
class Auth:
    """Where the key goes and where it comes from. `env` is ordered: the first variable that is set wins."""

    header: str = "Authorization"
    prefix: str = "Bearer "
    env: Paths = ()
    env_shared: Paths = ()  # variables that another profile reads too: they never choose a provider
    env_requires: Mapping[str, str] = field(default_factory=dict)  # variable -> variable that must name the origin
    key_url: str | None = None
    how_to_get_key: Paths = ()


@record(frozen=True)
class Links:
    dashboard: str | None = None
    pricing: str | None = None
    docs: str | None = None


@record(frozen=True)
class Model:
    """What is known of a model, whoever says so: a specification, a catalogue, a profile.

    Never a whitelist: ids date quickly, so that an unknown model is only unchecked. `members` describe its body, each
    as {type, values, min, max, max_items, default, required, note}; types are JSON Schema's, with uri and uri[].
    """

    id: str
    match: Paths = ()  # globs of ids that share these limits and fields
    note: str | None = None
    limits: Table = field(default_factory=dict)  # {duration: {min, max, enum, also}, ratio: [..], resolution: [..]}
    fields: Mapping[str, str] | None = (
        None  # common input (or input.role) -> field; complete when given and not partial
    )
    inputs: Table = field(default_factory=dict)  # replaces entries of the profile's inputs
    encoding: str | None = None
    members: Table = field(default_factory=dict)
    variants: Table | None = None  # {by: member, choose: [{is, takes, needs, send}]}: the const follows the media
    partial: bool = False  # `fields` lacks some: those are not refused as absent, but unknown
    inferred_from: str | None = None  # the names are those of a sibling
    makes: str = "video"
    price: Table | None = None  # {unit, per_second | per_video}: a number, or one by resolution
    page: str | None = None

    def allowed(self, name: str) -> Any:
        """{min, max, enum} for `duration`, a list for `ratio` and `resolution`; None where nothing is known."""
        if name in self.limits:
            return self.limits[name]
        member = self.members.get((self.fields or {}).get(name, "")) or {}
        if name != "duration":
            return member.get("values")
        lengths = [length for one in member.get("values") or () if (length := scalars.seconds(one)) is not None]
        found = {"min": member.get("min"), "max": member.get("max"), "enum": lengths or None}
        return {key: limit for key, limit in found.items() if limit is not None} or None


@record(frozen=True)
class ModelsRead:
    """Where a profile's `models` were read, and when (an ISO date)."""

    generated_from: str
    date: str


@record(frozen=True)
class SpecificationSource:
    """Where a model's body is described today: at a public `url` (no key goes there), or at the API's own `path`.

    `{model}`, `{page}` (of the catalogue), `{name}` and `{version}` (of name:version) are filled in; `index` lists the
    pages of models that are not in the catalogue: by their names, or in JSON with the address at `page` (JMESPath).
    `shape`: openapi, schema (`schema` points to it inside a document, `into` is the member that it fills), page (a
    fence of a documentation page), limits (of a body that is the same for all models).
    """

    url: str | None = None
    path: str | None = None
    shape: str = "openapi"
    at: str | None = None  # JMESPath to the document inside the answer
    schema: str | None = None
    into: str | None = None
    index: str | None = None
    page: str | None = None
    limits: Mapping[str, str] = field(default_factory=dict)


@record(frozen=True)
class Prices:
    """Where a price is told before paying, by calls that cost nothing.

    `quote`: {path, body, amount, currency | unit}: the body is sent for a sum; "{body}" and "{model}" in `body`.
    `unit_price`: an amount per second or per video, at the API's own `path` or at a `url` (with `index` and `page` as
    a specification; with `key: true` the key goes there): {amount, per, currency | unit}, of the answer or of each of
    `rows`, there with `of` (for how many units), `when` (a mapping of what it is for) and `name` (which says it in
    words); `rows` that are a mapping are {name: amount}. `sound` is the member that switches sound; `exact`: a table
    in which a request stands or does not.
    """

    quote: Table | None = None
    unit_price: Table | None = None


@record(frozen=True)
class ModelList:
    """Where the provider lists its models today: `items` and, inside one, `id` and `note` are JMESPath."""

    items: str
    id: str = "id"
    note: str | None = None
    url: str | None = None  # public; {search} is filled in
    path: str | None = None
    limits: Mapping[str, str] = field(default_factory=dict)  # common input -> path inside a model


@record(frozen=True)
class Convention:
    """How a provider calls the same thing in nearly all of its models: what to assume of a model nobody documents.

    Only for duration, ratio, resolution and seed: `members` is input -> {is: member, right: 26, of: 27}, counted.
    """

    date: str
    source: str
    members: Table = field(default_factory=dict)
    if_wrong: str | None = None  # what the API does with a member that it does not know


@record(frozen=True)
class Create:
    path: str
    method: str = "POST"
    stream: Mapping[str, str] | None = None  # {path}: the same body, answered as server-sent events
    encoding: str = "json"  # json | multipart | multipart_if_files
    id: Paths = ("id",)
    follow: Mapping[str, str] = field(default_factory=dict)  # name -> path of a same-origin URL kept with the task
    keep: Mapping[str, str] = field(default_factory=dict)  # name -> path of a value kept with the task, for addresses
    resend_on: tuple[int, ...] = (429,)
    refused_on: tuple[int, ...] = ()  # statuses beside the common ones that are documented to create nothing
    body: Table = field(default_factory=dict)  # fixed members of every request; a value {uuid} is new for each run
    echo: Paths = ()  # where the answer to a create repeats its inputs
    wrap: Any = None  # the whole body as a template with {body}: ["{body}"] for an API that takes a list


@record(frozen=True)
class Bulk:
    """Where one request tells of many tasks: those whose `{task_ids}` it names, else the newest, page after page.

    `items`, `id` and `body_of` are JMESPath: the tasks, and inside one its id and the body that a single look would
    have answered. `most` are the ids that a request may name, or the tasks of a page. `next` says how the next page is
    asked for: {page: member} counts up, {offset: member} goes by the tasks so far, {cursor: member, from: path} takes
    a value of the answer, {url: path} an address of it.
    """

    path: str
    most: int
    method: str = "GET"
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    items: str = "items"
    id: str = "id"
    body_of: str | None = None
    next: Mapping[str, str] = field(default_factory=dict)
    pages: int = 10  # of the newest tasks at most; what is older is asked for by itself

    @property
    def by_id(self) -> bool:
        return "{task_ids}" in str((self.query, self.body))


@record(frozen=True)
class StatusSpec:
    path: str | None = None
    method: str = "GET"
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None  # of a look by POST, with {task_id} and what is kept
    url_from: str | None = None  # name in create.follow
    id: Paths = ()  # the task's own id in a status body (default: create.id)
    value: Paths = ("status",)
    rules: tuple[Mapping[str, str], ...] = ()  # ordered {when: JMESPath, is: status}; the first true one wins
    map: Table = field(default_factory=dict)  # canonical (or not_found) -> words, matched case-insensitively
    upstream: Table | None = None  # {path: [..], only: [failed, ..]}: a dead task inside a live gateway task
    created_at: Paths = ()
    raw_id: bool = False  # the id holds slashes that belong to the path
    bulk: Bulk | None = None
    words: Mapping[str, str] = field(default_factory=dict)  # derived: casefolded word -> canonical


@record(frozen=True)
class Result:
    video: Paths = ()
    image: Paths = ()
    audio: Paths = ()
    last_frame: Paths = ()
    thumbnail: Paths = ()
    usage: Paths = ()
    cost: Table | None = None  # {path: [..], unit: credits, scale: 1}
    expires_at: Paths = ()
    finished_at: Paths = ()  # with ttl_s: when the links die
    ttl_s: float | None = None
    key: Paths = ()  # beginnings of paths below base_url: links there are the API's own and want the key
    unpack: Paths = ()  # members (a.b.c) that hold JSON as text: read as if it stood there
    fetch: Table | None = None  # {url_from | path, values, method, body}: second request after success
    content: Table | None = None  # {path, values}: the file itself, with the key, where no link is told or one is dead


@record(frozen=True)
class ErrorSpec:
    message: Paths = ("error.message", "message")
    code: Paths = ("error.code", "code")
    task_message: Paths = ()  # in the body of a failed task (default: message); keep envelopes' "ok" texts out of it
    task_code: Paths = ()
    in_band: tuple[Table, ...] = ()  # {path, ok: [..], type: string|..., required}: compared type-strictly
    categories: Mapping[str, str] = field(default_factory=dict)  # code or glob -> category; exact first, then in order
    phrases: Mapping[str, str] = field(default_factory=dict)  # part of a message (case does not matter) -> category
    http: Mapping[int, str] = field(default_factory=dict)
    on: Mapping[str, Table] = field(default_factory=dict)  # operation -> {categories, phrases, http} that come first
    body_retry_after: Paths = ()


@record(frozen=True)
class Progress:
    path: Paths = ()
    scale: str = "auto"  # auto | percent | fraction


@record(frozen=True)
class Poll:
    floor_s: float = 2.0
    ceiling_s: float = 10.0
    hint_headers: Paths = ("retry-after",)


@record(frozen=True)
class Limits:
    """What the API takes with one key: tasks under way at once, creates and other requests in a minute."""

    parallel: int | None = None
    creates_per_minute: float | None = None
    requests_per_minute: float | None = None


@record(frozen=True)
class Cancel:
    path: str | None = None
    method: str = "POST"
    body: Any = None
    url_from: str | None = None
    only_when: Paths = ()  # canonical statuses; anything else must not be sent (DELETE may destroy a record)
    refund_note: str | None = None


@record(frozen=True)
class ListSpec:
    path: str = ""
    method: str = "GET"
    body: Any = None
    query: Mapping[str, Any] = field(default_factory=dict)
    items: str = "items"
    id: str = "id"
    model: str = "model"
    status: str = "status"
    created_at: str = "created_at"


@record(frozen=True)
class Upload:
    """A local file goes ahead of the create, which takes `key` in its place.

    `put` and `post` send the bytes to the address that `init` gave, without the key; `multipart` and `raw` to `path` of
    the API itself, with it (an `init` before it gives values for that path).
    """

    key: Paths  # in the last answer, else in init's; `file` in it has name, mime, size, sha256
    how: str = "put"  # put | post | multipart | raw
    init: Table | None = None  # {method, path, query, body} with {file_name} {mime} {size} {sha256} {model}
    put_url: Paths = ()
    fields: Any = None  # of a presigned form: a path of a mapping, or name -> path
    path: str | None = None
    part: str = "file"
    put_headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "{mime}"})


@record(frozen=True)
class Credits:
    path: str
    balance: Paths = ()
    minus: Paths = ()  # what is used up already, where the API tells only what was bought
    unit: str | None = None
    unlimited: Paths = ()
    scale: float = 1.0
    note: str | None = None


@record(frozen=True)
class Capabilities:
    path: str
    models: str
    default_model: str | None = None
    id: str = "id"
    limits: Mapping[str, str] = field(default_factory=dict)  # common input -> path inside a model
    defaults: Mapping[str, str] = field(default_factory=dict)
    pricing: Table | None = None  # {unit, estimates, match: {key in an estimate: common input}, amount} or {by, times}


@record(frozen=True)
class Times:
    zone: str = ""  # such as +08:00, of times without one; UTC unless said


@record(frozen=True)
class Idempotency:
    """What the API does with a second create of the same value: `replay` answers with the first task, `reject` refuses,
    `lookup` means that the value is an id to ask for. Only `replay` allows a repeat after an answer that was lost.
    """

    on_reuse: str
    header: str | None = None
    body: str | None = None  # dotted path in the body
    ttl_s: float | None = None


@record(frozen=True)
class Constraints:
    """What the API's own rules say of inputs. Keys are `image`, `image.first_frame`, `audio` ..."""

    exclusive: tuple[tuple[str, ...], ...] = ()  # groups that cannot be mixed
    requires: Mapping[str, Any] = field(default_factory=dict)  # key -> one of these must be there too
    max: Mapping[str, int] = field(default_factory=dict)
    total_max_bytes: int | None = None  # of the whole body with files inside
    note: str | None = None


PROFILE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,40}\Z")
_FOREIGN_KEY_PREFIX = "VIDEO_TASKS_KEY_"
_STATUSES = frozenset(s.value for s in Status)


@record(frozen=True)
class Profile:
    """One provider in one kind. Built by `load_profile`; `for_kind` gives the same provider in another kind."""

    name: str
    title: str
    base_url: str
    base_url_env: str
    auth: Auth
    create: Create
    status: StatusSpec
    result: Result
    kind: str
    kinds: tuple[str, ...]
    base_url_required: bool = False  # a dialect that many gateways speak: the user names one
    headers: Mapping[str, str] = field(default_factory=dict)
    links: Links = Links()
    error: ErrorSpec = ErrorSpec()
    progress: Progress = Progress()
    poll: Poll = Poll()
    limits: Limits = Limits()
    models: tuple[Model, ...] = ()
    models_read: ModelsRead | None = None
    default_model: str | None = None
    rehearsal_model: str | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    constraints: Constraints = Constraints()
    cancel: Cancel | None = None
    list: ListSpec | None = None
    upload: Upload | None = None
    credits: Credits | None = None
    capabilities: Capabilities | None = None
    convention: Convention | None = None
    specification: tuple[SpecificationSource, ...] = ()
    model_list: ModelList | None = None
    prices: Prices | None = None
    times: Times = Times()
    idempotency: Idempotency | None = None
    tried: bool = True  # false: written from documents, and nobody has paid for a task through it
    basis: Mapping[str, Table] = field(default_factory=dict)  # block or block.member -> {is, date, source}
    foreign: bool = False
    document: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def for_kind(self, kind: str | None) -> Profile:
        """The same provider in `kind` (None: the default kind). Raises TaskError listing the kinds."""
        wanted = kind or str(self.document.get("default_kind") or self.kinds[0])
        if wanted == self.kind:
            return self
        if wanted not in self.kinds:
            raise configuration_error(
                f"{self.name} has no kind {wanted!r}", expected="one of: " + ", ".join(self.kinds)
            )
        return build_profile(self.document, foreign=self.foreign, kind=wanted).with_base_url(self.base_url)

    def with_base_url(self, base_url: str) -> Profile:
        """The same provider at another origin (flag, environment, sandbox)."""
        return replace(self, base_url=base_url.rstrip("/"))

    def is_own(self, url: str) -> bool:
        """Whether a link is on the API's own origin, `:443` spelled out or not: only there may the key go."""
        from videotasks.network.origins import same_origin

        return same_origin(self.base_url, url)

    @property
    def shipped_base_url(self) -> str:
        """The origin and path that the profile's own file names."""
        return str(self.document.get("base_url") or "").rstrip("/")

    def guessed(self, member: str) -> bool:
        """Whether `block.member` rests on a guess: such a thing decides nothing about money."""
        block = member.partition(".")[0]
        told = self.basis.get(member) or self.basis.get(block) or self.basis.get("all") or {}
        return told.get("is") == "guess"

    @property
    def fresh_headers(self) -> dict[str, str]:
        """Headers of which each request has a value of its own."""
        return {name: value for name, value in self.headers.items() if "{uuid}" in value}

    def kinds_when(self) -> Sequence[tuple[str, Paths]]:
        """(kind, media that must be given) of the kinds that the inputs choose, in the file's order."""
        kinds: Mapping[str, Any] = self.document.get("kinds") or {}
        return [(name, tuple(kind["when"])) for name, kind in kinds.items() if kind and kind.get("when")]

    def model_info(self, model: str | None) -> Model | None:
        """The documented model with this id, else the first whose `match` glob fits, else None."""
        return find_model(self.models, model)


def find_model(models: tuple[Model, ...], wanted: str | None) -> Model | None:
    """The model with this id, else the first whose `match` glob fits, else None."""
    if not wanted:
        return None
    for known in models:
        if known.id == wanted:
            return known
    return next((m for m in models if any(fnmatchcase(wanted, glob) for glob in m.match)), None)


def foreign_key_variable(name: str) -> str:
    """The one variable that a profile of the user's own reads its key from."""
    return _FOREIGN_KEY_PREFIX + re.sub(r"[^A-Z0-9]", "_", name.upper())


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Deep merge: mappings merge, everything else (lists too) is replaced, null removes."""
    merged = dict(base)
    for key, value in over.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def bad_knob(where: object, knob: str, expected: str) -> TaskError:
    return configuration_error(f"provider profile {where}: {knob} is wrong", expected=f"{knob}: {expected}")


# The members of a profile that are records here: those whose type is one.
PARTS: Mapping[str, type] = {
    member: globals()[kind]
    for member, told in Profile.__annotations__.items()
    if (kind := told.removesuffix(" | None")) in globals()
}
PLAIN = (
    "title", "default_model", "rehearsal_model", "headers", "inputs", "base_url_required", "tried", "basis",
)  # fmt: skip
_DOCUMENT_ONLY = {"specification", "name", "base_url", "base_url_env", "default_kind", "kinds", "models", "extends"}


def build_profile(document: Mapping[str, Any], *, foreign: bool, kind: str | None = None) -> Profile:
    name = document.get("name")
    if not isinstance(name, str) or not PROFILE_NAME.match(name):
        raise bad_knob(name, "name", "lower-case letters, digits and dashes")
    default_kind = str(document.get("default_kind") or "video")
    overrides = document.get("kinds") or {}
    kinds = (default_kind, *(k for k in overrides if k != default_kind))
    chosen = kind or default_kind
    doc = merge(document, {k: v for k, v in (overrides.get(chosen) or {}).items() if k != "when"})
    if unknown := set(doc) - set(PARTS) - set(PLAIN) - _DOCUMENT_ONLY:
        expected = "not a knob of a profile; see shared/schemas/provider-profile.schema.json"
        raise bad_knob(name, min(unknown), expected)
    base_url = doc.get("base_url")
    if not isinstance(base_url, str) or not base_url.startswith(("https://", "http://")):
        raise bad_knob(name, "base_url", "an http(s) URL")
    made: dict[str, Any] = {
        key: build_part(name, key, cls, doc[key]) for key, cls in PARTS.items() if doc.get(key) is not None
    }
    for required in ("auth", "create", "status", "result"):
        if required not in made:
            raise bad_knob(name, required, "required")
    made.update({key: doc[key] for key in PLAIN if doc.get(key) is not None})
    made.setdefault("title", name)
    models = tuple(build_part(name, "models", Model, m) for m in doc.get("models") or ())
    sources = tuple(
        build_part(name, "specification", SpecificationSource, one) for one in doc.get("specification") or ()
    )
    if any((one.url is None) == (one.path is None) for one in sources):
        raise bad_knob(name, "specification", "either url or path in each")
    quote = made["prices"].quote if "prices" in made else None
    if quote and str(quote.get("path")).rstrip("/") == made["create"].path.rstrip("/"):
        raise bad_knob(name, "prices.quote.path", "another call than the create")
    made.setdefault("rehearsal_model", made.get("default_model") or (models[0].id if models else None))
    return Profile(
        name=name,
        base_url=base_url.rstrip("/"),
        base_url_env=str(doc.get("base_url_env") or re.sub(r"[^A-Z0-9]", "_", name.upper()) + "_BASE_URL"),
        kind=chosen,
        kinds=kinds,
        models=models,
        specification=sources,
        foreign=foreign,
        document=document,
        **made,
    )


def build_part(name: str, key: str, cls: type, value: Any) -> Any:
    """The mapping at `key` as a record. Raises TaskError that names what is wrong in the profile `name`."""
    if not isinstance(value, Mapping):
        raise bad_knob(name, key, "a mapping")
    known: Mapping[str, str] = cls.__annotations__
    values: dict[str, Any] = {}
    for knob, given in value.items():
        if knob == "http" and isinstance(given, Mapping):  # status codes: YAML's integers, a JSON object's texts
            given = {int(code): category for code, category in given.items() if str(code).isdigit()}
        if knob not in known or knob == "words":
            raise bad_knob(name, f"{key}.{knob}", "one of: " + ", ".join(k for k in known if k != "words"))
        if known[knob] == "Paths":
            given = (given,) if isinstance(given, str) else tuple(given or ())
            if not all(isinstance(path, str) for path in given):
                raise bad_knob(name, f"{key}.{knob}", "a list of strings")
        elif known[knob].startswith("tuple") and given is not None:
            given = (given,) if isinstance(given, Mapping) else tuple(given)
        values[knob] = given
    if cls is StatusSpec:
        values["words"] = _words(name, values)
        values["bulk"] = build_part(name, "status.bulk", Bulk, values["bulk"]) if values.get("bulk") else None
    try:
        return cls(**values)
    except TypeError as error:
        raise bad_knob(name, key, str(error).split("__init__() ")[-1]) from None


def _words(name: str, status: Mapping[str, Any]) -> dict[str, str]:
    words: dict[str, str] = {}
    for canonical, spellings in (status.get("map") or {}).items():
        if canonical not in {*_STATUSES, "not_found"} or not isinstance(spellings, (list, tuple)):
            raise bad_knob(
                name, f"status.map.{canonical}", "a list of words under one of: " + ", ".join(sorted(_STATUSES))
            )
        words.update({str(word).casefold(): canonical for word in spellings})
    return words

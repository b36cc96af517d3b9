"""The parts of a provider profile as frozen records: what the YAML says, typed.

`Paths` are ordered JMESPath candidates (videotasks.paths). Every knob has a default, so that a profile states only
what its API has; what an API lacks is None. The format is described in shared/schemas/provider-profile.schema.json.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as record
    from dataclasses import field
else:
    from .records import field, record

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
    key: str | None = None


@record(frozen=True)
class Model:
    """A documented model. Never a whitelist: ids date quickly, so that an unknown model is only unchecked."""

    id: str
    match: Paths = ()  # globs of ids that share these limits and fields
    note: str | None = None
    limits: Table = field(default_factory=dict)  # {duration: {min, max, enum, also}, ratio: [..], resolution: [..]}
    fields: Mapping[str, str] | None = None  # common input (or input.role) -> field; complete when given
    inputs: Table = field(default_factory=dict)  # replaces entries of the profile's inputs
    encoding: str | None = None


@record(frozen=True)
class Create:
    path: str
    method: str = "POST"
    stream: Mapping[str, str] | None = None  # {path}: the same body, answered as server-sent events
    encoding: str = "json"  # json | multipart | multipart_if_files
    id: Paths = ("id",)
    follow: Mapping[str, str] = field(default_factory=dict)  # name -> path of a same-origin URL kept with the task
    resend_on: tuple[int, ...] = (429,)
    body: Table = field(default_factory=dict)  # fixed members of every request


@record(frozen=True)
class StatusSpec:
    path: str | None = None
    method: str = "GET"
    query: Mapping[str, str] = field(default_factory=dict)
    url_from: str | None = None  # name in create.follow
    id: Paths = ()  # the task's own id in a status body (default: create.id)
    value: Paths = ("status",)
    rules: tuple[Mapping[str, str], ...] = ()  # ordered {when: JMESPath, is: status}; the first true one wins
    map: Table = field(default_factory=dict)  # canonical -> words, matched case-insensitively
    upstream: Table | None = None  # {path: [..], only: [failed, ..]}: a dead task inside a live gateway task
    created_at: Paths = ()
    raw_id: bool = False  # the id holds slashes that belong to the path
    words: Mapping[str, str] = field(default_factory=dict)  # derived: casefolded word -> canonical


@record(frozen=True)
class Result:
    video: Paths = ()
    image: Paths = ()
    audio: Paths = ()
    last_frame: Paths = ()
    thumbnail: Paths = ()
    usage: Paths = ()
    cost: Table | None = None  # {path: [..], unit: credits}
    expires_at: Paths = ()
    finished_at: Paths = ()  # with ttl_s: when the links die
    ttl_s: float | None = None
    fetch: Mapping[str, str] | None = None  # {url_from | path}: second request after success
    content: Table | None = None  # {path}: authenticated binary endpoint, used when no URL is found


@record(frozen=True)
class ErrorSpec:
    message: Paths = ("error.message", "message")
    code: Paths = ("error.code", "code")
    task_message: Paths = ()  # in the body of a failed task (default: message); keep envelopes' "ok" texts out of it
    task_code: Paths = ()
    in_band: tuple[Table, ...] = ()  # {path, ok: [..], type: string|..., required}: compared type-strictly
    categories: Mapping[str, str] = field(default_factory=dict)  # code or glob -> category; exact first, then in order
    http: Mapping[int, str] = field(default_factory=dict)
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
class Cancel:
    path: str | None = None
    method: str = "POST"
    url_from: str | None = None
    only_when: Paths = ()  # canonical statuses; anything else must not be sent (DELETE may destroy a record)
    refund_note: str | None = None


@record(frozen=True)
class ListSpec:
    path: str = ""
    query: Mapping[str, Any] = field(default_factory=dict)
    items: str = "items"
    id: str = "id"
    model: str = "model"
    status: str = "status"
    created_at: str = "created_at"
    page: Table | None = None  # {param: page_num, first: 1} or {next: path of a URL or cursor, param: after}
    note: str | None = None


@record(frozen=True)
class Upload:
    """Presigned upload: POST init, PUT the bytes without the key, use `key` in the create body."""

    init: Table  # {method, path, body with {file_name} {mime} {size}}
    put_url: Paths
    key: Paths
    put_headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "{mime}"})


@record(frozen=True)
class Credits:
    path: str
    balance: Paths = ()
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
class Constraints:
    """What the API's own rules say of inputs. Keys are `image`, `image.first_frame`, `audio` ..."""

    exclusive: tuple[tuple[str, ...], ...] = ()  # groups that cannot be mixed
    requires: Mapping[str, Any] = field(default_factory=dict)  # key -> one of these must be there too
    max: Mapping[str, int] = field(default_factory=dict)
    total_max_bytes: int | None = None  # of the whole body with files inside
    note: str | None = None

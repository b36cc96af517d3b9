"""A specification of a create's body as a Model: members, types, allowed values, and which member each option is.

A specification steers a paid body, so it is taken for little: names, types and allowed values of what the user sets,
and the const that a variant requires. Origin, path and key are never read from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from videotasks.formats import scalars
from videotasks.openapi.convert import Schemas
from videotasks.openapi.document import MISSING
from videotasks.openapi.operations import Operation
from videotasks.openapi.shape import Shape, shape_of, variants
from videotasks.providers.profile import Model, Profile

MAX_MEMBERS = 200
MAX_VALUES = 60
MAX_BODIES = 60
MAX_BRANCHES = 12
MAX_WORD = 60
# What APIs call the inputs that our options stand for: names in order of how surely they mean it. A name counts only
# where a specification has it; without one nothing is taken from here.
WORDS: dict[str, tuple[str, ...]] = {
    "prompt": ("prompt", "text_prompt", "prompt_text", "promptText", "text", "text_to_video_prompt"),
    "duration": ("duration", "seconds", "duration_seconds", "durationSeconds", "video_length", "length", "num_seconds",
                 "video_duration"),
    "ratio": ("aspect_ratio", "ratio", "aspectRatio", "video_aspect_ratio", "orientation"),
    "resolution": ("resolution", "video_resolution", "definition", "video_quality", "resolution_quality"),
    "seed": ("seed",),
    "image.first_frame": (
        "first_frame_url", "first_frame_image", "first_frame", "first_frame_image_url", "start_frame_url",
        "start_frame", "start_image_url", "start_image", "firstFrameImage", "image_url", "input_image_url",
        "input_image", "image", "img_url", "imageUrl", "promptImage", "prompt_image", "frame_image",
        "image_file",
    ),
    "image.last_frame": (
        "last_frame_url", "last_frame_image", "last_frame", "last_frame_image_url", "end_frame_url", "end_frame",
        "end_image_url", "end_image", "tail_image_url", "tail_image", "image_tail", "last_image_url", "last_image",
        "lastFrameImage",
    ),
    "image.reference": (
        "reference_image_urls", "reference_images", "reference_image_url", "reference_image", "subject_reference",
        "subject_reference_image_url", "image_urls", "images", "image_list", "input_images", "image_input",
        "input_image_urls", "referenceImages",
    ),
    "video": ("video_url", "input_video_url", "video", "input_video", "source_video_url", "source_video", "video_urls",
              "reference_video_urls", "videoUrl", "reference_video_url", "reference_video"),
    "audio": ("audio_url", "input_audio_url", "audio_file_url", "audio_urls", "input_audio", "audio_file", "audioUrl",
              "driving_audio_url"),
    "count": ("n", "num_videos", "num_outputs", "number_of_videos", "numberOfVideos", "batch_size", "num_generations"),
    "sound": ("generate_audio", "enable_audio", "generateAudio", "with_audio", "sound", "audio", "add_audio"),
}  # fmt: skip
MEDIA = ("image.first_frame", "image.last_frame", "image.reference", "video", "audio")
_TYPES = ("integer", "number", "string", "boolean", "array", "object")


def model_of_operation(profile: Profile, model: str, operation: Operation) -> Model | None:
    """The model by the body of its create; None where there is none that has members."""
    schemas = Schemas(operation.document)
    for media in operation.request_media():
        if made := model_of_schema(profile, model, schemas, schemas.convert(media.schema)):
            return made
    return None


def model_of_schema(profile: Profile, model: str, schemas: Schemas, schema: Any) -> Model | None:
    """The model by the schema of a whole body; None when it has no members."""
    whole = shape_of(schemas, schema)
    if whole.types == {"array"} and whole.items and profile.create.wrap is not None:  # a list of tasks, and one is ours
        whole = shape_of(schemas, whole.items[0])
    found = islice(variants(schemas, whole), MAX_BODIES)
    bodies = _of_this_model([body for body in found if body.properties], schemas, model)
    described = [_members(schemas, body) for body in bodies]
    members: dict[str, dict[str, Any]] = {}
    for one in described:
        for name, member in one.items():
            members.setdefault(name, member)
    members = dict(list(members.items())[:MAX_MEMBERS])
    if not members:
        return None
    for name, member in list(members.items()):
        if member.get("required") and not all(one.get(name, {}).get("required") for one in described):
            members[name] = {key: value for key, value in member.items() if key != "required"}
    fields = fields_of(profile, members)
    return Model(
        id=model,
        fields=fields,
        members=members,
        variants=_variants(profile, schemas, bodies, described),
        partial=any(isinstance(spec, dict) and "to" in spec for name, spec in profile.inputs.items() if name in _OWN),
    )


_OWN = ("duration", "ratio", "resolution", "seed", "image", "video", "audio", "size")


def fields_of(profile: Profile, members: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Common input -> member, for the inputs whose name is the model's affair on this API, not the API's own."""
    found: dict[str, str] = {}
    used: set[str] = set()
    for key, words in WORDS.items():
        own = _own_spec(profile, key)
        if key in ("prompt", "count", "sound"):
            names = [str(own["to"]), *words] if own and own.get("to") else list(words)
        elif own is None or own.get("as") or "combine" in own:
            continue
        else:  # the API's own name first, where this model has it
            names = [*map(str, [own["to"]] if own.get("to") else own.get("candidates") or ()), *words]
        for name in names:
            path = _member_named(name.replace("[+]", ""), members)
            if path is None or path in used or not _can_be(key, members[path]):
                continue
            used.add(path)
            found[key] = path + ("[+]" if members[path].get("type") in ("uri[]", "array") else "")
            break
    return found


def _own_spec(profile: Profile, key: str) -> Mapping[str, Any] | None:
    name, _, role = key.partition(".")
    spec = profile.inputs.get(name)
    if not isinstance(spec, Mapping):
        return {} if name in ("count", "sound") else None
    roles = spec.get("roles") or {}
    if role:
        return {**spec, **(roles[role] or {})} if role in roles else None if roles or spec.get("to") else {}
    return spec


def _member_named(name: str, members: Mapping[str, Any]) -> str | None:
    """`duration` as a member itself, else inside an object of the body: `input.duration`."""
    if name in members:
        return name
    last = name.rpartition(".")[2]
    return next((path for path in members if path == last or path.rpartition(".")[2] == last), None)


def _can_be(key: str, member: Mapping[str, Any]) -> bool:
    kind = member.get("type")
    if key in MEDIA:
        return kind in (None, "uri", "string", "uri[]") and not member.get("values")
    if key == "sound":
        return kind == "boolean"
    if key in ("duration", "seed", "count"):
        return kind in (None, "integer", "number", "string")
    return kind in (None, "string")


def _of_this_model(bodies: list[Shape], schemas: Schemas, model: str) -> list[Shape]:
    """Bodies that are for another model by a const of theirs are left out."""

    mine = [body for body in bodies if model in (_listed(schemas, body, "model") or [model])]
    return (mine or bodies)[:MAX_BRANCHES]


def _listed(schemas: Schemas, body: Shape, name: str) -> list[Any]:
    """The values that a body lists for a member."""
    return _values(shape_of(schemas, body.property(name))) or [] if name in body.properties else []


def _values(shape: Shape) -> list[Any] | None:
    return [shape.const] if shape.const is not MISSING else shape.enum


def _members(schemas: Schemas, body: Shape, prefix: str = "", *, required: bool = True) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name in list(body.properties)[:MAX_MEMBERS]:
        if not isinstance(name, str) or not name or any(ch in name for ch in ".[]\\"):
            continue
        schema = body.property(name)
        shape = shape_of(schemas, schema)
        if shape.limits.get("readOnly"):
            continue
        must = required and name in body.required
        member = _member(schemas, shape)
        if must:
            member["required"] = True
        found[prefix + name] = member
        if not prefix and member.get("type") == "object" and shape.properties:
            found.update(_members(schemas, shape, f"{name}.", required=must))
    return found


def _member(schemas: Schemas, shape: Shape) -> dict[str, Any]:
    """One member in our words: {type, values, min, max, max_items, default}."""
    made: dict[str, Any] = {}
    branches = [one for one in islice(variants(schemas, shape), MAX_BRANCHES) if one.types != {"null"}]
    kinds: set[str] = set()
    values: list[Any] = []
    is_open = not branches
    for one in branches:
        listed = _values(one)
        kinds |= (one.types or set()) - {"null"}
        if listed is None:
            is_open = True
        else:
            values += [value for value in listed if value is not None and value not in values]
        for knob, limit in (("min", "minimum"), ("max", "maximum"), ("max_items", "maxItems")):
            if isinstance(one.limits.get(limit), (int, float)):
                made.setdefault(knob, one.limits[limit])
    if not kinds:
        kinds = {scalars.json_type(value) for value in values}
    if "array" in kinds:
        items = shape_of(schemas, branches[0].items[0]) if branches and branches[0].items else None
        made["type"] = "uri[]" if items is not None and (items.types or {"string"}) & {"string"} else "array"
    else:
        made["type"] = next((kind for kind in _TYPES if kind in kinds), None)
        if made["type"] == "string" and shape.limits.get("format") in ("uri", "url"):
            made["type"] = "uri"
    if values and not is_open and len(values) <= MAX_VALUES and made["type"] != "boolean":
        made["values"] = values
    default = shape.limits.get("default")
    if isinstance(default, (str, int, float, bool)):
        made["default"] = default
    return {key: value for key, value in made.items() if value is not None}


def _is_word(const: Any) -> bool:
    """Whether a const may name a variant: it is sent on the specification's word, so no address and no text is."""
    return isinstance(const, str) and len(const) <= MAX_WORD and "://" not in const


def _variants(
    profile: Profile, schemas: Schemas, bodies: list[Shape], described: list[dict[str, dict[str, Any]]]
) -> dict[str, Any] | None:
    """{by, choose} where each variant of the body has a const of its own in the same member."""
    if len(bodies) < 2:
        return None
    for name in bodies[0].properties:
        consts = [only[0] if len(only := _listed(schemas, body, name)) == 1 else None for body in bodies]
        if name == "model" or not all(map(_is_word, consts)) or len(set(consts)) != len(consts):
            continue
        choose = []
        for number, (body, members) in enumerate(zip(bodies, described, strict=True)):
            media = {key: to for key, to in fields_of(profile, members).items() if key in MEDIA}
            needs = [key for key, to in media.items() if members[to.replace("[+]", "")].get("required")]
            choose.append({
                "is": consts[number], "takes": sorted(media), "needs": sorted(needs),
                "send": name in body.required or number > 0,
            })  # fmt: skip
        return {"by": name, "choose": choose}
    return None

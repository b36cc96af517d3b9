"""The models that ship with the skill: each option goes where the documentation has it, and what is unknown is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from videotasks.catalogue import known, listing
from videotasks.catalogue.known import known_model
from videotasks.core.errors import TaskError
from videotasks.providers.load_profile import load_profile, shipped_folder, shipped_names
from videotasks.providers.profile import Model
from videotasks.request.build import CommonInputs, build_request, chosen_model
from videotasks.request.draft import RequestDraft

FILES = sorted((shipped_folder().parent / "catalogue").glob("*.json"))
URL = "https://e.example/1.png"
PROFILE = load_profile("skills-video")
CATALOGUE = known.catalogue_of(PROFILE)
assert CATALOGUE is not None
MODELS = {model.id: model for model in CATALOGUE.models}

# The video endpoints that the provider's own command-line skill lists (chuyun/video-skills 8f02686, 2026-03-20).
LISTED = """
openai/sora-2-pro openai/sora-2 google/veo-2 google/veo-3.1 google/veo-3.1-fast bytedance/seedance-1-pro
bytedance/seedance-1-pro-fast bytedance/seedance-1.5 xai/grok-imagine-video kling-ai/v3/video kling-ai/o3/video
kling-ai/o3/edit kling-ai/o1/video kling-ai/o1/edit kling-ai/kling-v2.6 kling-ai/motion-control-v2.6
kling-ai/kling-v2.5-turbo runwayml/gen-4.5 runwayml/gen4-turbo runwayml/gen4-aleph wan/wan-v2.6 luma/ray-2
luma/ray-2-flash vidu/q2/video-turbo vidu/q3 minimax/hailuo-2.3 minimax/hailuo-2.3-fast lightricks/ltx-2.3
lightricks/ltx-2.3/audio-to-video lightricks/ltx-2.3/extend-video lightricks/ltx-2.3/retake-video pixverse/v5.6
bytedance/omnihuman-v1.5 sync/lipsync-2 veed/lipsync pixverse/lipsync topaz/upscale/video runwayml/upscale-v1
"""


def build(model: str, name: str = "skills-video", **given: Any) -> RequestDraft:
    profile = load_profile(name)
    inputs = CommonInputs(model=model, **given)
    return build_request(profile, inputs, known=known_model(profile, chosen_model(profile, inputs)))


def refused(model: str, **given: Any) -> TaskError:
    with pytest.raises(TaskError) as caught:
        build(model, **given)
    return caught.value


def everything(model: Model) -> dict[str, Any]:
    """A request with each common option that the model has, and one variant's media."""
    fields = model.fields or {}
    given: dict[str, Any] = {"prompt": "p"} if "prompt" in fields else {}
    for name, fallback in (("duration", 5), ("ratio", "16:9"), ("resolution", "720p"), ("seed", 7)):
        if name in fields:
            member = model.members.get(fields[name], {})
            limit = model.limits.get(name) or {}
            values = member.get("values") or (limit if isinstance(limit, list) else limit.get("enum"))
            given[name] = values[0] if values else member.get("max") or fallback
    frames = "image.first_frame" in fields
    roles = [role for role in ("first_frame", "last_frame") if f"image.{role}" in fields] if frames else ["reference"]
    given["image"] = [(role, URL) for role in roles if f"image.{role}" in fields]
    for kind in ("video", "audio"):
        needed = model.members.get(fields.get(kind, ""), {}).get("required")
        given[kind] = [(None, URL)] if kind in fields and (needed or not given["image"]) else []
    return given


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_catalogue_holds_together(path: Path) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((shipped_folder().parent / "schemas" / "provider-profile.schema.json").read_text("utf-8"))
    entry = jsonschema.Draft202012Validator({**schema, "$ref": "#/$defs/model", "type": "object", "properties": {},
                                             "required": [], "additionalProperties": True})  # fmt: skip
    assert path.stem == document["provider"] and path.stem in shipped_names()
    assert document["generated_from"].startswith("https://") and len(document["date"]) == 10
    ids = [one["id"] for one in document["models"]]
    assert len(set(ids)) == len(ids)
    for one in document["models"]:
        assert [error.message for error in entry.iter_errors(one)] == [], one["id"]
        members = set(one.get("members") or ())
        if members:
            assert {to.replace("[+]", "") for to in one["fields"].values()} <= members, one["id"]
        if "variants" in one and members:
            values = one["members"][one["variants"]["by"]].get("values", ())
            assert {choice["is"] for choice in one["variants"]["choose"]} <= set(values) or not values, one["id"]


@pytest.mark.parametrize("name", shipped_names())
def test_every_block_of_models_has_a_source_and_a_date(name: str) -> None:
    profile = load_profile(name)
    rows = list(listing.models_of(profile))
    assert rows and all(source.startswith("https://") and date and len(date) == 10 for _, _, source, date in rows)
    for kind in profile.kinds:
        for model in profile.for_kind(kind).models:
            known = known_model(profile.for_kind(kind), model.id)
            assert known.date and known.where, "a dry run says where it was read, and when"


def test_every_checked_entry_is_there() -> None:
    documented = [model for model in MODELS.values() if not model.inferred_from]
    assert len(documented) == 47 and sum(model.makes == "video" for model in documented) == 30
    assert set(LISTED.split()) <= set(MODELS) and len(LISTED.split()) == 38


@pytest.mark.parametrize("model", sorted(MODELS))
def test_each_option_goes_into_its_member(model: str) -> None:
    info = MODELS[model]
    given = everything(info)
    draft = build(model, **given)
    fields = info.fields or {}
    for name in ("prompt", "duration", "ratio", "resolution", "seed"):
        if name in given:
            assert draft.body[fields[name]] == given[name]
    for role, value in given["image"]:
        placed = draft.body[fields[f"image.{role}"].replace("[+]", "")]
        assert placed in (value, [value])
    assert draft.checked_against == "catalogue" and draft.known.date == "2026-11-26"
    assert bool(draft.assumed) == bool(info.inferred_from), "a name that no page prints is said to be assumed"
    assert draft.path.endswith(model)


def test_the_request_that_was_refused_as_a_guess() -> None:
    draft = build("kling-ai/kling-v2.6", prompt="p", duration="5", ratio="9:16", image=[("first_frame", URL)])
    assert draft.body == {"prompt": "p", "duration": 5, "aspect_ratio": "9:16", "image_url": URL}
    assert draft.assumed == ()


def test_the_variant_follows_the_inputs() -> None:
    frames = build("google/veo-3.1", prompt="p", image=[("first_frame", URL)])
    assert frames.body["mode"] == "frames" and any("mode=frames" in one for one in frames.warnings)
    assert build("google/veo-3.1", prompt="p", image=[("reference", URL)]).body["mode"] == "reference"
    assert "mode" not in build("google/veo-3.1", prompt="p").body
    chosen = build("google/veo-3.1", prompt="p", image=[("first_frame", URL)], set_values=[("mode", "other")])
    assert chosen.body["mode"] == "other"
    mixed = refused("google/veo-3.1", prompt="p", image=[("first_frame", URL), ("reference", URL)])
    assert "does not mix" in mixed.message and "--set mode=" in (mixed.hint or "")


def test_what_a_model_needs_is_told_before_paying() -> None:
    error = refused("minimax/hailuo-2.3", prompt="p", duration=6)
    assert "first_frame_url" in error.message and "--image first_frame=" in (error.expected or "")
    assert "makes videos of 6 s, 10 s" in refused("minimax/hailuo-2.3", prompt="p", duration=8).message
    own = build("minimax/hailuo-2.3", prompt="p", set_values=[("x", 1)])
    assert any("first_frame_url" in one for one in own.warnings), "over a person's own words it is only said"


def test_the_convention_serves_a_model_that_nobody_documents() -> None:
    draft = build("new/thing", prompt="p", duration="5", ratio="9:16", resolution="720p", seed=3)
    assert draft.body == {"prompt": "p", "duration": 5, "aspect_ratio": "9:16", "resolution": "720p", "seed": 3}
    assert draft.checked_against == "convention"
    assert [one["input"] for one in draft.assumed] == ["duration", "ratio", "resolution", "seed"]
    assert "26 of 27" in draft.assumed[0]["because"]


@pytest.mark.parametrize(
    ("media", "names"),
    [
        ({"image": [("first_frame", URL)]}, ("first_frame_url", "image_url")),
        ({"image": [("last_frame", URL)]}, ("last_frame_url", "end_frame_url", "end_image_url")),
        ({"image": [("reference", URL)]}, ("image_urls", "reference_image_urls")),
        ({"video": [(None, URL)]}, ("video_urls", "video_url")),
        ({"audio": [(None, URL)]}, ("audio_urls", "audio_url")),
    ],
)
def test_what_has_two_spellings_is_refused_with_its_candidates(media: dict[str, Any], names: tuple[str, ...]) -> None:
    error = refused("new/thing", prompt="p", **media)
    assert all(repr(name) in error.message for name in names) and "--set" in (error.expected or "")


def test_a_partial_entry_is_no_proof_of_absence() -> None:
    assert "guessed" in refused("kling-ai/kling-v2.5-turbo", prompt="p", image=[("first_frame", URL)]).message
    assert "has no input" in refused("kling-ai/kling-v2.6", prompt="p", seed=1).message


def test_nothing_known_is_nothing_checked() -> None:
    assert build("new/thing", prompt="p").checked_against == "nothing"
    assert build("fal-ai/x", "fal", prompt="p").checked_against == "nothing"
    assert build("doubao-seedance-1-5-pro-251215", "ark", prompt="p").checked_against == "catalogue"


def test_what_is_known_is_no_part_of_what_was_asked() -> None:
    """The same command never pays again because we know more today."""
    given: dict[str, Any] = {"prompt": "p", "duration": "5", "image": [("first_frame", URL)]}
    inputs = CommonInputs(model="google/veo-3.1", **given)
    known = known_model(PROFILE, "google/veo-3.1")
    today = build_request(PROFILE, inputs, known=known)
    assert known.model is not None
    fields = {**(known.model.fields or {}), "image.first_frame": "image_url", "duration": "seconds"}
    other = type(known)(model=Model(id="google/veo-3.1", fields=fields), source="catalogue")
    tomorrow = build_request(PROFILE, inputs, known=other)
    assert today.body != tomorrow.body and today.asked == tomorrow.asked

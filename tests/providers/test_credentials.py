"""The one reader of keys: order, conditions, refusals, and no way for a value to be seen."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from videotasks.core import redaction
from videotasks.core.errors import Category, TaskError
from videotasks.providers import credentials
from videotasks.providers.load_profile import load_profile

KEY = "sk-CANARY-7f3a"


@pytest.fixture(autouse=True)
def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    redaction.forget_all()


def find(name: str, base_url: str | None = None, **environ: str) -> credentials.Key | None:
    profile = load_profile(name)
    return credentials.find_key(profile.with_base_url(base_url) if base_url else profile, environ)


@pytest.mark.parametrize(
    ("provider", "environ", "variable"),
    [
        ("skills-video", {"SKILLS_VIDEO_API_KEY": KEY}, "SKILLS_VIDEO_API_KEY"),
        ("creatok", {"CREATOK_API_KEY": KEY}, "CREATOK_API_KEY"),
        ("octopusx", {"OCTOPUSX_API_KEY": KEY}, "OCTOPUSX_API_KEY"),
        ("ark", {"VOLCENGINE_ARK_API_KEY": KEY, "ARK_API_KEY": "other"}, "VOLCENGINE_ARK_API_KEY"),
        ("ark", {"ARK_API_KEY": KEY}, "ARK_API_KEY"),
        ("modelark", {"MODELARK_API_KEY": KEY, "ARK_API_KEY": "other"}, "MODELARK_API_KEY"),
        ("modelark", {"ARK_API_KEY": KEY}, "ARK_API_KEY"),
        ("fal", {"FAL_KEY": KEY}, "FAL_KEY"),
        ("replicate", {"REPLICATE_API_TOKEN": KEY}, "REPLICATE_API_TOKEN"),
    ],
)
def test_the_variables_in_their_order(provider: str, environ: dict[str, str], variable: str) -> None:
    key = find(provider, **environ)
    assert key is not None and (key.variable, key.secret) == (variable, KEY)


@pytest.mark.parametrize("provider", ["ark", "modelark", "creatok", "octopusx", "skills-video", "fal", "replicate"])
def test_no_provider_takes_anothers_key(provider: str) -> None:
    others = {"OPENAI_API_KEY": KEY, "API_KEY": KEY, "VIDEO_TASKS_KEY_ARK": KEY, "OPENAI_COMPATIBLE_API_KEY": KEY}
    assert find(provider, **others) is None


def test_an_openai_key_goes_to_the_origin_beside_it_and_to_no_other() -> None:
    environ = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "https://gw.example/v1"}
    at = "https://gw.example/v1"
    assert find("openai-compatible", at, **environ) is not None
    assert find("openai-compatible", at, OPENAI_API_KEY=KEY) is None
    for other in ("https://evil.example/v1", "http://gw.example/v1", "https://gw.example:8443/v1"):
        assert find("openai-compatible", other, **environ) is None
    own = find("openai-compatible", "https://evil.example", OPENAI_COMPATIBLE_API_KEY="mine", **environ)
    assert own is not None and own.secret == "mine"


def test_the_origin_that_comes_with_a_key() -> None:
    profile = load_profile("openai-compatible")
    both = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "https://gw.example/v1"}
    assert credentials.named_origin(profile, both) == ("OPENAI_BASE_URL", "https://gw.example/v1")
    own = {**both, "OPENAI_COMPATIBLE_API_KEY": "mine"}
    assert credentials.named_origin(profile, own) is None, "that key was not given for this origin"
    named = {**own, "OPENAI_COMPATIBLE_BASE_URL": "https://mine.example"}
    assert credentials.named_origin(profile, named) == ("OPENAI_COMPATIBLE_BASE_URL", "https://mine.example")
    assert credentials.named_origin(load_profile("ark"), {"ARK_BASE_URL": " "}) is None


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\0b", "a\x1bb", "a\x7fb", "sk-\u30ad", "sk-\u2013dash"])
def test_a_value_that_cannot_be_a_header_is_an_error_without_it(value: str) -> None:
    with pytest.raises(TaskError) as caught:
        find("fal", FAL_KEY=value)
    error = caught.value
    assert error.category is Category.CONFIGURATION and "FAL_KEY" in error.message and error.code == "invalid_api_key"
    assert value not in f"{error.message}{error.hint}{error.expected}{error.details}"
    assert value in redaction.known_secrets(), "it is redacted all the same"


def test_a_value_longer_than_any_key_is_an_error_and_nothing_to_search_for() -> None:
    """A file pasted into the variable: each text was searched for its 100 kB, and a create took a minute and a half."""
    with pytest.raises(TaskError) as caught:
        find("fal", FAL_KEY="sk-" * 40_000)
    assert caught.value.code == "invalid_api_key" and "sk-sk-" not in str(caught.value.message)
    assert not any(len(secret) > 20_000 for secret in redaction.known_secrets())


@pytest.mark.parametrize("value", ["", " ", "\n"])
def test_an_empty_value_is_none(value: str) -> None:
    assert find("fal", FAL_KEY=value) is None
    with pytest.raises(TaskError) as caught:
        credentials.require_key(load_profile("fal"), {"FAL_KEY": value})
    assert caught.value.code == "missing_api_key" and "fal.ai" in str(caught.value.hint)


def test_blanks_around_a_key_are_no_part_of_it() -> None:
    key = find("fal", FAL_KEY=f"  {KEY}\n")
    assert key is not None and key.secret == KEY


def test_a_key_shows_its_variable_only() -> None:
    key = credentials.Key("FAL_KEY", KEY)
    for shown in (repr(key), str(key), f"{key}", f"{[key]}"):
        assert KEY not in shown and "FAL_KEY" in shown


@pytest.mark.parametrize(
    ("provider", "header"),
    [
        ("skills-video", f"Bearer {KEY}"),
        ("fal", f"Key {KEY}"),
        ("replicate", f"Bearer {KEY}"),
        ("ark", f"Bearer {KEY}"),
    ],
)
def test_the_header(provider: str, header: str) -> None:
    made = credentials.authorisation(load_profile(provider), credentials.Key("X", KEY))
    assert made == {"Authorization": header}


def test_a_providers_own_setting() -> None:
    profile = load_profile("skills-video")
    assert credentials.setting(profile, "MAX_COST", {"SKILLS_VIDEO_MAX_COST": "5credits"}) == (
        "SKILLS_VIDEO_MAX_COST",
        "5credits",
    )
    assert credentials.setting(profile, "MAX_COST", {})[1] is None


def test_keys_are_read_in_this_one_module(repo: Path) -> None:
    for path in (repo / "scripts" / "videotasks").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if path.name != "credentials.py":
            assert not re.search(r"environ[^\n]*(API_KEY|TOKEN|auth\.env)", text), path

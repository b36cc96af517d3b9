"""Profiles: the shipped ones hold to their schema, foreign ones cannot take a key or a name."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from support.parameters import most_are_slow
from support.sources import REPO
from videotasks.core import user_cache
from videotasks.core.errors import Category, TaskError
from videotasks.providers import check_profile, normalize
from videotasks.providers import load_profile as providers_load_profile
from videotasks.providers.load_profile import MAX_PROFILE_BYTES, load_profile, shipped_names
from videotasks.providers.profile import PARTS, PLAIN

ROOT = Path(__file__).resolve().parents[2]
TRIED = ["ark", "creatok", "fal", "modelark", "octopusx", "openai-compatible", "replicate", "skills-video"]
NAMES = shipped_names()
MINE = """
name: mine
base_url: https://api.mine.example/v1
auth: {}
create: {path: /videos, id: [id]}
status: {path: "/videos/{task_id}", value: [status], map: {queued: [waiting], succeeded: [done], failed: [broken]}}
result: {video: [video.url]}
inputs: {prompt: {to: prompt, required: true}, model: {to: model}, ratio: {to: ratio}}
"""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def foreign(tmp_path: Path, text: str, name: str = "mine.yaml") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def refused(path: Path | str, search: str | None = None) -> TaskError:
    with pytest.raises(TaskError) as caught:
        load_profile(str(path), search=search)
    assert caught.value.category is Category.CONFIGURATION
    return caught.value


def test_shipped_names() -> None:
    assert len(shipped_names()) == 28
    assert [name for name in shipped_names() if load_profile(name).tried] == TRIED


@pytest.mark.parametrize("name", NAMES)
def test_shipped_profiles_hold_to_the_schema_in_every_kind(name: str) -> None:
    profile = load_profile(name)
    assert list(check_profile.problems_of(profile.document)) == []
    assert profile.name == name and not profile.foreign
    assert profile.auth.env and profile.base_url.startswith("https://")
    assert profile.poll.floor_s >= 1 and profile.poll.ceiling_s <= 10
    for kind in profile.kinds:
        assert profile.for_kind(kind).kind == kind
    assert profile.for_kind(None).kind == profile.kinds[0]


def test_the_schema_is_one_and_strict() -> None:
    schema = json.loads((REPO / "shared/schemas/provider-profile.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)

    def walk(node: Any, where: str) -> None:
        if isinstance(node, dict):
            if node.get("type") == "object" and "properties" in node:
                assert node.get("additionalProperties") is False, where
            for key, value in node.items():
                walk(value, f"{where}/{key}")
        elif isinstance(node, list):
            for index, value in enumerate(node):
                walk(value, f"{where}/{index}")

    walk(schema, "")
    assert set(schema["properties"]) >= set(PARTS) | set(PLAIN)


def test_keys_as_documented() -> None:
    env = {name: list(load_profile(name).auth.env) for name in TRIED}
    assert env == {
        "ark": ["VOLCENGINE_ARK_API_KEY", "ARK_API_KEY"],
        "creatok": ["CREATOK_API_KEY"],
        "fal": ["FAL_KEY"],
        "modelark": ["MODELARK_API_KEY", "ARK_API_KEY"],
        "octopusx": ["OCTOPUSX_API_KEY"],
        "openai-compatible": ["OPENAI_COMPATIBLE_API_KEY", "OPENAI_API_KEY"],
        "replicate": ["REPLICATE_API_TOKEN"],
        "skills-video": ["SKILLS_VIDEO_API_KEY"],
    }
    ark, modelark = load_profile("ark"), load_profile("modelark")
    assert ark.auth.env_shared == modelark.auth.env_shared == ("ARK_API_KEY",)
    assert ark.base_url != modelark.base_url and ark.status == modelark.status
    assert load_profile("openai-compatible").auth.env_requires == {"OPENAI_API_KEY": "OPENAI_BASE_URL"}
    assert load_profile("fal").auth.prefix == "Key "
    assert ark.base_url_env == "ARK_BASE_URL"
    assert load_profile("skills-video").base_url_env == "SKILLS_VIDEO_BASE_URL"


def test_no_provider_is_named_in_the_library() -> None:
    names = re.compile(
        r"\b(?:creatok|octopusx|skills[-_]video|modelark|seedance|replicate\.com|fal\.run|volces)\b", re.I
    )
    for path in (
        "providers/load_profile",
        "providers/profile",
        "providers/check_profile",
        "providers/normalize",
        "providers/classify_error",
        "request/build",
        "request/draft",
        "request/fields",
    ):
        text = (ROOT / "scripts" / "videotasks" / f"{path}.py").read_text(encoding="utf-8")
        assert not names.search(text), path


def test_unknown_names_and_kinds_list_the_known() -> None:
    error = refused("creatock")
    assert "did you mean 'creatok'" in error.message and "skills-video" in (error.hint or "")
    assert "did you mean" not in refused("zzzzzz").message
    assert "no provider profile" in refused("./missing.yaml").message
    for odd in ("", "../ark", "ark\x00", "a" * 500, "ARK"):
        refused(odd)
    with pytest.raises(TaskError) as caught:
        load_profile("octopusx").for_kind("image")
    assert caught.value.expected == "one of: unified, openai"


def test_another_origin_stays_across_kinds() -> None:
    moved = load_profile("octopusx").with_base_url("http://127.0.0.1:9/")
    assert moved.base_url == "http://127.0.0.1:9"
    assert moved.for_kind("openai").base_url == "http://127.0.0.1:9"
    assert moved.for_kind("openai").create.path == "/v1/videos"


def test_profiles_cannot_be_changed() -> None:
    profile = load_profile("ark")
    with pytest.raises(AttributeError):
        profile.base_url = "https://evil.example"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        profile.auth.env = ("X",)  # type: ignore[misc]
    assert "document" not in repr(profile)


@pytest.mark.parametrize(
    ("model", "known"),
    [
        ("doubao-seedance-2-0-fast-260128", "doubao-seedance-2-0-fast-260128"),
        ("doubao-seedance-2-0-fast-270505", "doubao-seedance-2-0-fast-260128"),
        ("doubao-seedance-2-0-270505", "doubao-seedance-2-0-260128"),
        ("ep-2026-x", None),
        (None, None),
    ],
)
def test_models_are_found_by_id_then_by_glob(model: str | None, known: str | None) -> None:
    found = load_profile("ark").model_info(model)
    assert (found.id if found else None) == known


def test_a_foreign_profile(tmp_path: Path) -> None:
    path = foreign(tmp_path, MINE)
    for profile in (load_profile(str(path)), load_profile("mine", search=str(tmp_path))):
        assert profile.foreign and profile.name == "mine"
        assert profile.auth.env == ("VIDEO_TASKS_KEY_MINE",)
        assert profile.base_url_env == "MINE_BASE_URL"
        assert profile.status.words["done"] == "succeeded"


def test_a_foreign_profile_reads_no_other_key(tmp_path: Path) -> None:
    own = MINE.replace("auth: {}", "auth: {env: [AWS_SECRET_ACCESS_KEY], env_shared: [X], header: X-Key, prefix: ''}")
    profile = load_profile(str(foreign(tmp_path, own)))
    assert profile.auth.env == ("VIDEO_TASKS_KEY_MINE",)
    assert (profile.auth.env_shared, profile.auth.env_requires) == ((), {})
    assert (profile.auth.header, profile.auth.prefix) == ("X-Key", "")
    for variable in ("ARK_API_KEY", "fal_key", "OPENAI_API_KEY"):
        error = refused(foreign(tmp_path, MINE.replace("auth: {}", f"auth: {{env: [{variable}]}}")))
        assert "VIDEO_TASKS_KEY_MINE" in error.message


@pytest.mark.parametrize("name", ["ark", "skills-video", "skills_video", "fal"])
def test_shipped_names_are_reserved(tmp_path: Path, name: str) -> None:
    assert (
        "name of a shipped profile" in refused(foreign(tmp_path, MINE.replace("name: mine", f"name: {name}"))).message
    )
    shutil.copy(foreign(tmp_path, MINE), tmp_path / "ark.yaml")
    assert not load_profile("ark", search=str(tmp_path)).foreign


def test_a_foreign_profile_may_extend_a_shipped_one(tmp_path: Path) -> None:
    path = foreign(tmp_path, "extends: ark\nname: my-ark\nbase_url: https://ark.eu.example/api/v3\nlist: null\n")
    profile = load_profile(str(path))
    assert profile.auth.env == ("VIDEO_TASKS_KEY_MY_ARK",)
    assert profile.create.path == "/contents/generations/tasks"
    assert profile.list is None
    assert "extends" in refused(foreign(tmp_path, "extends: nobody\nname: x\n")).message


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("base_url: https://api.mine.example/v1", "base_url: ftp://x", "base_url"),
        ("base_url: https://api.mine.example/v1", "base_url: https://user:pw@x.example", "base_url"),
        ("base_url: https://api.mine.example/v1", "base_url: https://x.example/?a=1", "base_url"),
        ("id: [id]", "id: ['a b(']", "create.id"),
        ("succeeded: [done]", "finished: [done]", "status.map"),
        ("create: {", "create: {methud: GET, ", "methud"),
        ("path: /videos,", "path: https://evil.example/videos,", "create.path"),
        ("path: /videos,", "path: /videos, resend_on: [500],", "create.resend_on"),
        ("inputs: {", "inputs: {poem: {to: x}, ", "inputs"),
        ("auth: {}", "auth: {header: 'X-Key: a'}", "auth.header"),
        ("auth: {}", "auth: {}\nheaders: {Authorization: x}", "headers"),
        ("auth: {}", 'auth: {}\nheaders: {X-A: "a\\r\\nb"}', "headers"),
        ("auth: {}", "auth: {}\nsecret: 1", "secret"),
        ("auth: {}", "auth: {}\nkinds: {image: {create: {path: 7}}}", "kinds.image.create.path"),
        (
            "auth: {}",
            "auth: {}\nkinds: {image: {status: {rules: [{when: '((', is: failed}]}}}",
            "kinds.image.status.rules",
        ),
        ("name: mine", "name: Mine/../x", "name"),
        ("result: {", "result: {video2: [a], ", "video2"),
    ],
)
def test_a_broken_foreign_profile_names_file_field_and_expectation(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    assert old in MINE
    error = refused(foreign(tmp_path, MINE.replace(old, new)))
    assert "mine.yaml" in error.message and told in error.message


@pytest.mark.parametrize(
    "text", ["", "[]", "just text", "a: [", "\xff", "a: 1\n---\nb: 2", "name: x", "!!python/object:os.system {}"]
)
def test_what_is_no_profile(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(text.encode("latin-1"))
    assert "mine.yaml" in refused(path).message


def test_a_huge_file_is_no_profile(tmp_path: Path) -> None:
    refused(foreign(tmp_path, MINE + "# " + "x" * MAX_PROFILE_BYTES))


def test_ratios_stay_texts() -> None:
    assert "16:9" in load_profile("ark").models[0].limits["ratio"]


@pytest.mark.parametrize("name", most_are_slow(NAMES, *TRIED))
def test_the_cache_gives_the_same_profile(name: str, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_profile(name)
    assert list(own_cache.rglob("*.json"))
    monkeypatch.setattr(providers_load_profile, "parse_document", lambda *_: pytest.fail("the cache was not used"))
    again = load_profile(name)
    assert json.loads(json.dumps(again.document)) == json.loads(json.dumps(first.document))
    assert again == type(first)(**{**first.__dict__, "document": again.document})


def test_a_planted_cache_cannot_move_the_key(own_cache: Path) -> None:
    good = load_profile("ark")
    for path in own_cache.rglob("*.json"):
        planted = json.loads(path.read_text(encoding="utf-8"))
        for change in (
            {"base_url": "https://evil.example"},
            {"auth": {"env": ["HOME"]}},
            {"auth": 7},
            {"extends": "evil"},
        ):
            path.write_text(json.dumps(planted | change), encoding="utf-8")
            assert load_profile("ark") == good
        path.write_text("{", encoding="utf-8")
        assert load_profile("ark") == good


def test_no_cache_folder_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_cache, "cache_dir", lambda _: None)
    assert load_profile("ark").name == "ark"
    assert providers_load_profile.recall_parsed(b"x") is None


MISTAKES = [  # what is written instead of what, the member and the words that lead to the fix
    ("id: [id]", "id: ['id[']", "line 5, create.id.0", "not a JMESPath expression"),
    ("value: [status]", "value: ['lower(status)']", "status.value.0", "no function 'lower'"),
    ("value: [status]", "value: ['to_str(status)']", "status.value.0", "did you mean 'to_string'"),
    ("value: [status]", "value: ['to_string(a, b)']", "status.value.0", "takes 1 argument(s), not 2"),
    ("value: [status]", "rules: [{when: 'done && !a.b', is: failed}], value: [status]", "rules.0.when", "write !(a.b)"),
    ("id: [id]}", "id: [id], follow: {link: 'a['}}", "create.follow.link", "not a JMESPath expression"),
    ("auth: {}", "auth: {}\nprogress: {path: 'a['}", "line 5, progress.path", "not a JMESPath expression"),
    ("auth: {}", "auth: {}\nlist: {path: /videos, items: 'a['}", "list.items", "not a JMESPath expression"),
    ("auth: {}", "auth: {}\nerror: {in_band: {path: 'a[', ok: [0]}}", "error.in_band.path", "not a JMESPath"),
    ("auth: {}", "auth: {}\ncredits: {path: /me, balance: ['sums(a)']}", "credits.balance.0", "no function 'sums'"),
    ("{task_id}", "{taskid}", "status.path", "did you mean 'task_id'"),
    ("/videos/{task_id}", "/videos", "status.path", "it names no task"),
    ('"/videos/{task_id}"', "{task_id}", "status.path", "in quotes"),
    (
        'path: "/videos/{task_id}"',
        'path: "/x/{task_id}", method: POST, body: {m: {model}}',
        "status.body.m",
        "in quotes",
    ),
    ("ratio: {to: ratio}", "image: {to: i, as: {url: {value}}}", "inputs.image.as.url", "in quotes"),
    ("auth: {}", "auth: {}\ncancel: {path: /x}", "line 5, cancel", "'only_when' is missing"),
    ("auth: {}", "auth: {}\nheaders: {Authorization: x}", "headers", "auth.header"),
    ("auth: {}", "auth: {}\nmodels: [{id: m, limits: {duration: [5, 10]}}]", "duration", "{enum: [5, 10]}"),
    ("auth: {}", "auth: {}\npoll: {floor_s: 5, ceiling_s: 3}", "poll.floor_s", "above ceiling_s"),
    ("auth: {}", "auth: {}\npoll: {ceiling_s: 60}", "poll.ceiling_s", "maximum"),
    ("auth: {}", "auth: {}\nresul: {}", "line 5, resul", "did you mean 'result'"),
    ("ratio: {to: ratio}", "ratio: {to: ratio, table: {a: b}}", "inputs.ratio.table", "would be ignored"),
    ("ratio: {to: ratio}", "ratio: {combine: size}", "inputs.ratio.combine", "no input 'size'"),
    ("ratio: {to: ratio}", "image: {to: i, roles: {end_frame: {}}}", "inputs.image.roles", "last_frame"),
    ("ratio: {to: ratio}", "image: {to: i, default_role: reference}", "image.default_role", "none of its roles"),
    ("failed: [broken]", "failed: [broken, DONE]", "status.map.failed", "stands under succeeded, too"),
    ("result: {video: [video.url]}", "result: {usage: [a]}", "result", "names no result"),
    ("result: {", "result: {fetch: {url_from: link}, ", "result.fetch.url_from", "not kept by create.follow"),
    ("value: [status]", "bulk: {path: /v}, value: [status]", "status.bulk", "'most' is missing"),
    ("value: [status]", "bulk: {path: /v, most: 9, query: {i: '{ids}'}}, value: [status]", "bulk.query", "{task_ids}"),
    ("value: [status]", "bulk: {path: /v, most: 9, next: {pag: a}}, value: [status]", "status.bulk.next", "pag"),
    ("value: [status]", "bulk: {path: /v, most: 9, pages: 3}, value: [status]", "bulk.pages", "'next' is missing"),
    (
        "value: [status]",
        "bulk: {path: /v, most: 9, query: {i: '{task_ids}'}, next: {page: p}}, value: [status]",
        "status.bulk",
        "for lists",
    ),
    ("value: [status]", "bulk: {path: /v, most: 9, body: {a: 1}}, value: [status]", "bulk.body", "method: POST"),
    ("auth: {}", "auth: {}\nlimits: {requests_per_minute: 0}", "limits.requests_per_minute", "minimum"),
    ("auth: {}", "auth: {}\nlimits: {parallel: 1.5}", "limits.parallel", "whole number"),
    ("auth: {}", "auth: {}\nkinds: {still: {create: {path: '/{x}'}}}", "kinds.still.create.path", "nothing fills {x}"),
]


@pytest.mark.parametrize(("old", "new", "member", "words"), MISTAKES, ids=[row[1][:60] for row in MISTAKES])
def test_a_mistake_is_told_with_its_line_and_the_fix(
    tmp_path: Path, old: str, new: str, member: str, words: str
) -> None:
    assert old in MINE
    message = refused(foreign(tmp_path, MINE.replace(old, new))).message
    assert member in message and words in message, message


def test_yaml_mistakes_come_with_the_line_and_the_reason(tmp_path: Path) -> None:
    tab = refused(foreign(tmp_path, MINE + "poll:\n\tfloor_s: 3\n")).message
    assert "line 10" in tab and "tab" in tab
    quote = refused(foreign(tmp_path, MINE.replace('"/videos/{task_id}"', "/videos/{task_id}"))).message
    assert "line 6" in quote and "quotes" in quote


def test_what_a_parent_says_has_no_line_in_the_file(tmp_path: Path) -> None:
    text = "extends: ark\nname: mine\nbase_url: https://x.example\npoll: {floor_s: 9, ceiling_s: 3}\n"
    assert "line 4, poll.floor_s" in refused(foreign(tmp_path, text)).message
    text = "extends: ark\nname: mine\nbase_url: https://x.example\ncreate: {follow: {a: b}, id: ['a[']}\n"
    assert "line 4, create.id.0" in refused(foreign(tmp_path, text)).message


@pytest.mark.parametrize(
    ("url", "own"),
    [
        ("https://queue.fal.run/x", True),
        ("https://queue.fal.run:443/x", True),
        ("HTTPS://QUEUE.FAL.RUN/x", True),
        ("https://queue.fal.run:444/x", False),
        ("http://queue.fal.run/x", False),
        ("https://queue.fal.run.evil.example/x", False),
        ("https://queue.fal.run@evil.example/x", False),
        ("https://[x", False),
    ],
)
def test_one_rule_says_what_is_on_the_apis_own_origin(url: str, own: bool) -> None:
    profile = load_profile("fal")
    assert profile.is_own(url) is own
    body = {"request_id": "r1", "status_url": url, "response_url": url, "cancel_url": url}
    assert bool(normalize.created(profile, body).follow) is own

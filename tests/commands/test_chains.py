"""One video's result as another one's input, in a batch and by itself; an earlier request again, with changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.commands import call, sandbox_state
from videotasks.runs.store import RunStore

ROOT = Path("task-status") / ".artifacts"
ARK = ("--sandbox", "--provider", "ark", "--duration", "4")
FRAME = ("--set", "return_last_frame=true")


pytestmark = pytest.mark.usefixtures("instant_tasks", "half_videos")


def bodies() -> list[dict[str, Any]]:
    """The requests of all tasks, as the provider got them."""
    return [task["request"] for task in sandbox_state(ROOT)["tasks"].values()]


def creates() -> int:
    return int(sandbox_state(ROOT)["creates"])


def test_a_run_gives_its_last_frame_to_another() -> None:
    first = call("create_and_wait.py", *ARK, *FRAME, "--prompt", "a boat", "--run-id", "intro")
    assert first.exit_code == 0
    words = (*ARK, "--prompt", "it sails away", "--image", "first_frame=@intro")
    second = call("create_and_wait.py", *words)
    assert second.exit_code == 0 and creates() == 2
    image = next(part for part in bodies()[1]["content"] if part["type"] == "image_url")
    assert image["role"] == "first_frame" and image["image_url"]["url"].startswith("data:image/")
    again = call("create_and_wait.py", *words)
    assert again.final["attached"] is True and creates() == 2


def test_the_identity_holds_the_other_run_and_never_the_bytes_of_a_frame() -> None:
    call("create_and_wait.py", *ARK, *FRAME, "--prompt", "a boat", "--run-id", "intro")
    words = (*ARK, "--prompt", "it sails away", "--image", "first_frame=@intro.last_frame")
    made = call("create_and_wait.py", *words)
    run = RunStore(ROOT).open("intro")
    frame = next(run.folder / entry["path"] for entry in run.state().files if entry["kind"] == "last_frame")
    frame.unlink()  # what is decoded, or signed, anew is another file and another link
    run.record("downloaded", 2e9, files=[entry for entry in run.state().files if entry["kind"] == "video"])
    again = call("create_and_wait.py", *words)
    assert again.final["attached"] is True and again.final["run_id"] == made.final["run_id"] and creates() == 2


def test_a_frame_is_taken_from_the_file_where_the_provider_gave_none() -> None:
    av = pytest.importorskip("av")
    call("create_and_wait.py", *ARK, "--prompt", "a boat", "--run-id", "intro")
    done = call("create_and_wait.py", *ARK, "--prompt", "it sails away", "--image", "first_frame=@intro")
    assert done.exit_code == 0 and creates() == 2
    with av.open(str(ROOT / "intro" / "outputs" / "last-frame.png")) as picture:
        assert picture.streams.video[0].width > 0


def test_without_a_library_one_line_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    call("create_and_wait.py", *ARK, "--prompt", "a boat", "--run-id", "intro")
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    done = call("create_and_wait.py", *ARK, "--prompt", "it sails away", "--image", "first_frame=@intro")
    assert done.exit_code == 1 and done.error["code"] == "no_last_frame" and creates() == 1


@pytest.mark.parametrize(
    ("media", "words"), [("first_frame=@nothing", "no run nothing"), ("first_frame=@intro.video", "intro")]
)
def test_what_a_run_cannot_give_is_told_before_anything_is_sent(media: str, words: str) -> None:
    call("create_and_wait.py", *ARK, "--prompt", "a boat", "--run-id", "intro", "--sandbox-scenario", "failed")
    done = call("create_and_wait.py", *ARK, "--prompt", "it sails away", "--image", media)
    assert done.exit_code == 1 and words in done.error["message"] and creates() == 1


CHAIN = """defaults: {provider: ark, duration: 4, set: {return_last_frame: true}}
rows:
  - {id: end, prompt: the harbour, first_frame: "@middle"}
  - {id: middle, prompt: it sails away, image: "first_frame=@intro.last_frame"}
  - {id: intro, prompt: a boat}
  - {id: other, prompt: a kite}
"""


def batch(*options: str) -> Any:
    return call("batch.py", "chain.yaml", "--sandbox", *options)


def test_rows_wait_for_those_that_they_take_of() -> None:
    Path("chain.yaml").write_text(CHAIN, encoding="utf-8")
    plan = batch("--dry-run")
    assert plan.exit_code == 0 and plan.final["steps"] == {"follow": 2, "create": 2}
    done = batch()
    assert done.exit_code == 0 and creates() == 4 and done.final["rows"] == {"succeeded": 4}
    order = [next(part["text"] for part in body["content"] if part["type"] == "text") for body in bodies()]
    assert order.index("a boat") < order.index("it sails away") < order.index("the harbour")
    assert batch().final["created"] == 0 and batch("--dry-run").final["steps"] == {"ended": 4}
    assert creates() == 4


def test_a_failed_row_holds_back_its_followers_alone() -> None:
    Path("chain.yaml").write_text(CHAIN, encoding="utf-8")
    trouble = ("--sandbox-scenario", "failed@sails")
    done = batch(*trouble)
    assert done.exit_code == 10 and done.final["rows"] == {"held": 1, "failed": 1, "succeeded": 2} and creates() == 3
    assert batch().exit_code == 10 and batch("--dry-run").exit_code == 0 and creates() == 3
    done = batch("--retry-failed")
    assert done.exit_code == 0 and creates() == 5 and done.final["rows"] == {"succeeded": 4}


def test_a_changed_row_changes_those_that_take_of_it() -> None:
    Path("chain.yaml").write_text(CHAIN, encoding="utf-8")
    assert batch().exit_code == 0
    Path("chain.yaml").write_text(CHAIN.replace("a boat", "a red boat"), encoding="utf-8")
    assert batch("--dry-run").final["steps"] == {"follow": 2, "create": 1, "ended": 1}
    assert batch().exit_code == 0 and creates() == 7


def test_again_is_the_earlier_request_with_changes_and_its_next_take() -> None:
    Path("photo.png").write_bytes(PNG)
    call(
        "create_and_wait.py", *ARK, "--prompt", "a boat", "--set", "watermark=true", "--image", "first_frame=photo.png",
        "--run-id", "first",
    )  # fmt: skip
    words = ("--sandbox", "--again", "first", "--duration", "8")
    done = call("create_and_wait.py", *words)
    assert done.exit_code == 0 and creates() == 2
    first, second = bodies()
    assert second == {**first, "duration": 8}
    assert json.loads((ROOT / done.final["run_id"] / "inputs" / "request.json").read_text())["take"] == 2
    assert call("create_and_wait.py", *words).final["attached"] is True and creates() == 2
    assert call("create_and_wait.py", "--again", "first").exit_code == 1, "a rehearsal is no real run"


def test_a_folder_from_elsewhere_does_not_say_what_is_sent() -> None:
    call("create_and_wait.py", *ARK, "--prompt", "a boat", "--run-id", "first")
    place = ROOT / "first" / "inputs" / "request.json"
    request = json.loads(place.read_text())
    request["given"]["image"] = [["first_frame", str(Path("private.png").absolute())]]
    place.write_text(json.dumps(request))
    done = call("create_and_wait.py", "--sandbox", "--again", "first")
    assert done.exit_code == 1 and "does not tell" in done.error["message"] and creates() == 1


PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000001900000012c0802000000f21a4f300000001049444154789c6360000200000500017a5eab3f"
    "0000000049454e44ae426082"
)


def test_no_result_of_a_folder_from_elsewhere_goes_into_a_paid_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("create_and_wait.py", *ARK, *FRAME, "--prompt", "a boat", "--run-id", "intro")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another machine"))
    words = (*ARK, "--prompt", "it sails away", "--image", "first_frame=@intro")
    refused = call("create_and_wait.py", *words)
    assert refused.exit_code == 1 and refused.final["error"]["code"] == "run_from_elsewhere" and creates() == 1
    looked = call("task_status.py", "--run-id", "intro", "--sandbox", "--provider", "ark", "--download")
    assert looked.exit_code == 0
    assert call("create_and_wait.py", *words).exit_code == 0 and creates() == 2

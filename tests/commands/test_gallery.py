"""gallery.py: one page of runs. What stands in it, what cannot, and that it is found and bounded."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import re
import sys
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from support.commands import call, fast_sandbox
from support.gallery import HOSTILE, batch, by_hand, failed, file_of, make_run, succeeded
from videotasks.gallery import page
from videotasks.runs.store import Run, RunStore


class Page(HTMLParser):
    """Every element with its attributes, and the text of each kind of element."""

    def __init__(self, file: str | Path) -> None:
        super().__init__()
        self.source = Path(file).read_text(encoding="utf-8")
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in {"meta", "input", "img"}:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self._open and data.strip():
            self.text.setdefault(self._open[-1], []).append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def links(self) -> list[str]:
        return [a[name] for _, a in self.elements for name in ("src", "href", "poster", "action") if name in a]


@pytest.fixture
def root(workspace: Path) -> Path:
    return workspace / "task-status" / ".artifacts"


def gallery(*words: str) -> tuple[dict[str, Any], Page]:
    done = call("gallery.py", *words)
    assert done.exit_code == 0 and done.events == ["gallery"], done.stdout
    found = Page(done.final["file"])
    assert done.final["bytes"] == len(found.source.encode()) and done.final["shown"] == len(found.all("article"))
    return done.final, found


# -- what stands in it -------------------------------------------------------------------------------------------


def test_a_rehearsal_with_its_video(root: Path, full_videos: None) -> None:
    with fast_sandbox():
        call("create_and_wait.py", "--sandbox", "--prompt", "a paper boat", "--duration", "4", "--run-id", "boat")
    final, found = gallery("--sandbox")
    assert final["file"] == str(root / "gallery.html") and final["sandbox"] is True
    (video,) = found.all("video")
    assert video["src"] == "boat/outputs/video.mp4" and video["preload"] == "none" and "controls" in video
    assert found.text["dd"][-2:] == ["boat"] or "boat" in found.text["code"]
    shown = " ".join(found.text["dd"])
    assert "4.0 s" in shown and "1280×720" in shown and "10 credits" in shown and "seedance" in shown
    assert "a paper boat" in found.text["p"] and "sandbox" in found.text["span"]
    assert os.stat(final["file"]).st_mode & 0o077 == 0 or os.name == "nt"


def test_a_failure_in_words_ours_first(root: Path) -> None:
    failed(root, "bad", "policy 42")
    _, found = gallery()
    (words,) = [text for text in found.text["p"] if "failed" in text and "generation" in text]
    assert "content rules" in words and "not shown" not in found.source
    assert found.text["blockquote"] == ["policy 42"]
    assert not found.all("video") and found.all("article")[0]["class"] == "nothing"


@pytest.mark.parametrize(
    ("events", "status", "words"),
    [
        ([("submitting", {})], "unknown", "no task id came back"),
        ([("submitting", {}), ("refused", {"error": {"category": "auth"}})], "refused", "did not accept the key"),
        ([("submitted", {"task_id": "t", "status": "running"})], "running", "being made"),
        (
            [("submitted", {"task_id": "t"}), ("ended", {"status": "succeeded", "outcome": "no_result"})],
            "succeeded",
            "names no result",
        ),
    ],
)
def test_every_state_says_what_it_is(root: Path, events: list[Any], status: str, words: str) -> None:
    make_run(root, events=events)
    _, found = gallery()
    assert found.all("article")[0]["data-status"] == status
    assert any(words in text for text in found.text["p"])


def test_a_file_counts_only_while_it_is_as_it_was_fetched(root: Path) -> None:
    run = succeeded(root, "boat")
    (run.outputs / "video.mp4").write_bytes(b"other")
    _, found = gallery()
    assert not found.all("video") and any("missing or was changed" in text for text in found.text["p"])


def test_a_saved_picture_is_the_poster(root: Path) -> None:
    run = succeeded(root, "boat")
    video = run.state().files[0]
    run.record("downloaded", 1.8e9, files=[video, file_of(run, "thumbnail.jpg", "thumbnail")])
    _, found = gallery()
    assert found.all("video")[0]["poster"] == "boat/outputs/thumbnail.jpg"
    assert [a["class"] for a in found.all("button") if "cover" in a.get("class", "")] == ["cover"]


def test_pictures_sounds_and_what_no_browser_plays(root: Path) -> None:
    for name, kind in (("image.png", "image"), ("audio.mp3", "audio"), ("video.mkv", "video")):
        run = succeeded(root, kind)
        run.record("downloaded", 1.8e9, files=[file_of(run, name, kind)])
    _, found = gallery()
    assert [a["src"] for a in found.all("img")] == ["image/outputs/image.png"]
    assert [a["src"] for a in found.all("audio")] == ["audio/outputs/audio.mp3"]
    assert not found.all("video") and "video/outputs/video.mkv" in [a["href"] for a in found.all("a")]


def test_costs_are_summed_by_provider_and_unit_and_unknown_is_not_nothing(root: Path) -> None:
    for number in range(2):
        succeeded(root, f"a{number}")
    succeeded(root, "b", provider="other")
    failed(root, "c", "x", provider="other")
    _, found = gallery()
    head = " ".join(found.text["p"][:3])
    assert "24 credits at acme" in head and "12 credits at other" in head and "1 of unknown cost" in head


# -- which runs --------------------------------------------------------------------------------------------------


def shown_ids(found: Page) -> list[str]:
    return found.text.get("code", [])


def test_the_newest_first_and_no_more_than_asked_for(root: Path) -> None:
    for number in range(4):
        succeeded(root, at=1.8e9 + number, prompt=f"p{number}", intent=f"{number}" * 64)
    succeeded(root, "named", at=1.8e9 + 1.5, prompt="of one's own name", provider="luma")
    make_run(root, "never-sent", at=1.8e9 + 9)
    make_run(root, "rehearsed", at=1.8e9 + 9, mode="sandbox", events=[("submitted", {"task_id": "t"})])
    _, found = gallery("--latest", "4")
    prompts = [a["aria-label"] for a in found.all("article")]
    assert prompts == ["p3", "p2", "of one's own name", "p1"]
    assert shown_ids(gallery("--sandbox")[1]) == ["rehearsed"]
    assert shown_ids(gallery("--provider", "luma", "--latest")[1]) == ["named"]
    assert call("gallery.py", "--provider", "nobody").exit_code == 1
    assert "of kling" in call("gallery.py", "--provider", "kling").error["message"]


def test_since_counts_back_from_now(root: Path) -> None:
    now = time.time()
    succeeded(root, "old", at=now - 3 * 86_400)
    succeeded(root, "new", at=now - 3_600)
    assert shown_ids(gallery("--since", "2d")[1]) == ["new"]
    assert shown_ids(gallery("--since", "9d", "--latest", "1")[1]) == ["new"]
    assert call("gallery.py", "--since", "soon").exit_code == 1
    assert call("gallery.py", "--since", "1s").exit_code == 1


def test_named_runs_in_their_order(root: Path) -> None:
    for name in ("a", "b", "c"):
        succeeded(root, name)
    assert shown_ids(gallery("--run-id", "c", "--run-id", "a", "--run-id", "c")[1]) == ["c", "a"]
    done = call("gallery.py", "--run-id", "none")
    assert done.exit_code == 1 and "none" in done.error["message"]
    assert call("gallery.py", "--run-id", "../x").exit_code == 1


@pytest.mark.parametrize(
    "words", [("--run-id", "a", "--latest"), ("--batch", "x", "--since", "2d"), ("--run-id", "a", "--provider", "acme")]
)
def test_two_ways_to_choose_are_one_too_many(words: tuple[str, ...]) -> None:
    assert call("gallery.py", *words).exit_code == 1


def test_nothing_to_show_is_an_error_that_says_where(workspace: Path) -> None:
    done = call("gallery.py")
    assert done.exit_code == 1 and str(workspace) in done.error["message"] and "--sandbox" in done.error["hint"]
    assert not list(workspace.iterdir())


# -- batches -----------------------------------------------------------------------------------------------------


def test_a_batch_with_its_matrix_and_rows_without_a_run(root: Path) -> None:
    succeeded(root, "one")
    refused = {"category": "validation", "message": "no such model", "server_message": "<b>"}
    cells = [{"model": model, "prompt": "a kite"} for model in ("m1", "m2")]
    rows = [
        {"line": 2, "id": None, "run_id": "one", "status": "succeeded", "matrix": cells[0]},
        {
            "line": 3,
            "run_id": None,
            "status": "invalid",
            "matrix": {"model": "m2", "prompt": "a kite"},
            "error": refused,
        },
        {"line": 4, "run_id": "gone", "status": "waiting", "error": None},
    ]
    folder = batch(root, rows)
    final, found = gallery("--batch", "shorts")
    assert final["file"] == str(folder / "gallery.html") and final["shown"] == 3
    articles = found.all("article")
    assert [json.loads(a["data-axes"]) for a in articles] == [
        [["model", "m1"], ["prompt", "a kite"]],
        [["model", "m2"], ["prompt", "a kite"]],
        [],
    ]
    assert [a["data-status"] for a in articles] == ["succeeded", "invalid", "waiting"]
    assert [text for text in found.text["span"] if text.startswith("row")] == ["row 2", "row 3", "row 4"]
    assert found.all("main")[0]["data-crossed"] == "yes"
    assert found.all("video")[0]["src"] == "../../one/outputs/video.mp4"
    assert "no such model" in found.text["p"] and found.text["blockquote"] == ["<b>"]
    by_folder, _ = gallery("--batch", os.path.relpath(folder))
    assert by_folder["file"] == final["file"]


ODD_ROWS = [
    None, 7, {}, {"run_id": 7}, {"run_id": "../../x"}, {"matrix": []}, {"matrix": {"a": {"b": [1]}}, "line": -1},
    {"line": True, "status": {"x": 1}, "error": "text"}, {"error": {"message": 5, "server_message": ["x"]}},
    {"matrix": {str(n): "v" * 9_999 for n in range(99)}},
]  # fmt: skip


def test_a_batch_file_is_data_whatever_it_holds(root: Path) -> None:
    batch(root, ODD_ROWS)
    final, found = gallery("--batch", "shorts")
    assert final["shown"] == len(ODD_ROWS) - 2 and final["bytes"] < 60_000
    assert len(json.loads(found.all("article")[-1]["data-axes"])) == page.MOST_AXES


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"rows": {}}', b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_batch_is_one_error(root: Path, content: bytes) -> None:
    (root / "batches" / "x").mkdir(parents=True)
    (root / "batches" / "x" / "batch.json").write_bytes(content)
    for name in ("x", "y", "../x", ""):
        assert call("gallery.py", "--batch", name).exit_code == 1 if name else True


def test_the_door_for_batches_takes_the_document_itself(root: Path) -> None:
    run = succeeded(root, "one")
    folder = batch(root, [])
    document = {"id": "b <1>", "rows": [{"run_id": run.run_id, "line": 1, "status": "succeeded"}]}
    made = page.write_batch_gallery(folder, document, RunStore(root), now=1.8e9)
    assert (made.file, made.shown, made.total) == (str(folder / "gallery.html"), 1, 1)
    assert Page(made.file).text["h1"] == ["Batch b <1>"]


# -- hostile ------------------------------------------------------------------------------------------------------

ALLOWED = {
    "html", "head", "meta", "title", "style", "body", "header", "h1", "p", "form", "input", "select", "option",
    "output", "button", "main", "div", "article", "video", "span", "blockquote", "dl", "dt", "dd", "time", "code",
    "a", "footer", "kbd", "script", "img", "audio",
}  # fmt: skip


def test_hostile_texts_stay_texts(root: Path) -> None:
    run = succeeded(root, "good", prompt=HOSTILE, model=HOSTILE, provider=HOSTILE)
    run.record("ended", 1.8e9, status="succeeded", outcome="succeeded", cost=1.0, cost_unit=HOSTILE)
    failed(root, "bad", HOSTILE, category=HOSTILE, prompt=HOSTILE)
    rows = [{"run_id": "good", "status": HOSTILE, "matrix": {HOSTILE: HOSTILE}}]
    rows += [{"run_id": HOSTILE, "status": HOSTILE, "matrix": {HOSTILE: HOSTILE}, "error": {"message": HOSTILE}}]
    batch(root, rows, "b")
    (root / "batches" / "b" / "batch.json").write_text(json.dumps({"id": HOSTILE, "rows": rows}))
    for words in (("--latest",), ("--batch", "b")):
        _, found = gallery(*words)
        assert {tag for tag, _ in found.elements} <= ALLOWED
        assert not [a for _, a in found.elements if any(name.startswith("on") or name == "style" for name in a)]
        assert len(found.all("script")) == len(found.all("style")) == 1
        assert "\x1b" not in found.source and "\u202e" not in found.source and ">49" not in found.source
        assert all(link.startswith(("good/", "../../good/")) for link in found.links)


def test_only_our_own_style_and_script_may_act(root: Path) -> None:
    succeeded(root, "boat")
    _, found = gallery()
    (policy,) = [a["content"] for a in found.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    for tag in ("style", "script"):
        (source,) = re.findall(rf"<{tag}>(.*?)</{tag}>", found.source, re.S)
        digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        assert rules[f"{tag}-src"] == f"'sha256-{digest}'"
    assert set(rules["img-src"].split()) | set(rules["media-src"].split()) == {"'self'", "file:"}
    assert found.source.index("Content-Security-Policy") < found.source.index("<title>") < found.source.index("<style>")
    assert not re.search(r"https?://|//[a-z]|@import|url\(", re.sub(r"(?m)^// .*$", "", found.source))


def test_no_link_leads_to_a_page_or_out_of_the_run(root: Path) -> None:
    run = succeeded(root, "boat")
    files = [file_of(run, name) for name in ("video.html", "video.svg", "video.xhtml", "VIDEO.MP4")]
    outside = file_of(run, "result.mp4") | {"path": "javascript:alert(1)"}
    planted = [outside, outside | {"path": "../x.mp4"}, outside | {"path": "outputs/../../x.mp4"}]
    run.record(
        "ended", 1.8e9, status="succeeded", outcome="succeeded", outputs=[{"kind": "video", "url": "javascript:1"}]
    )
    run.record("downloaded", 1.8e9, files=[*files, *planted])
    _, found = gallery()
    assert set(found.links) == {"boat/outputs/VIDEO.MP4"}
    assert "javascript:" not in found.source


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links need a privilege there")
def test_a_planted_link_is_neither_shown_nor_written_through(root: Path, workspace: Path) -> None:
    run = succeeded(root, "boat")
    secret = workspace / "secret.mp4"
    (run.outputs / "video.mp4").rename(secret)
    (run.outputs / "video.mp4").symlink_to(secret)
    _, found = gallery()
    assert not found.links
    elsewhere = workspace / "elsewhere"
    elsewhere.write_text("mine")
    for place, words in (
        (root / "gallery.html", ()),
        (workspace / "out.html", ("--output", "out.html")),
        (workspace / "out.html", ("--output", "out.html", "--force")),
    ):
        place.unlink(missing_ok=True)
        place.symlink_to(elsewhere)
        done = call("gallery.py", *words)
        assert done.exit_code == 1 and "symbolic link" in done.error["message"]
    assert elsewhere.read_text() == "mine"
    real = batch(root, [], "real")
    (root / "batches" / "linked").symlink_to(real)
    assert call("gallery.py", "--batch", "linked").exit_code == 1
    assert not (real / "gallery.html").exists()


def test_a_folder_from_another_machine_is_told_as_such(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = failed(root, "theirs", "pay here")
    monkeypatch.setattr(Run, "made_here", False)
    _, found = gallery("--run-id", run.run_id)
    assert found.all("article")[0]["data-vouched"] == "no"
    assert "not verified" in found.text["span"] and any("another machine" in text for text in found.text["p"])


# -- where it is, and how large ------------------------------------------------------------------------------------


def test_links_are_found_from_odd_folders(workspace: Path) -> None:
    odd = workspace / "a b#c?d%20ü&'e"
    root = odd / "runs 100%"
    succeeded(root, "boat")
    pages = odd / "pages"
    pages.mkdir()
    for place in (root / "gallery.html", pages / "p#.html", workspace / "top.html"):
        words = () if place.parent == root else ("--output", str(place))
        final, found = gallery("--artifacts-dir", str(root), *words)
        assert final["file"] == os.path.realpath(place)
        for link in found.links:
            parts = urlsplit(link)
            assert not parts.scheme and not parts.netloc and not parts.query and not parts.fragment
            assert (Path(final["file"]).parent / unquote(parts.path)).read_bytes() == b"bytes"


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links need a privilege there")
def test_links_hold_from_the_path_that_is_told(workspace: Path) -> None:
    root = workspace / "deep" / "er" / "runs"
    succeeded(root, "boat")
    (workspace / "out").mkdir()
    (workspace / "deep" / "out").symlink_to(workspace / "out")
    final, found = gallery("--artifacts-dir", str(root), "--output", str(workspace / "deep" / "out" / "g.html"))
    assert final["file"] == os.path.realpath(workspace / "out" / "g.html")
    assert (Path(os.path.normpath(Path(final["file"]).parent / found.links[0]))).is_file()


def test_a_page_is_replaced_and_nothing_else(root: Path, workspace: Path) -> None:
    succeeded(root, "boat")
    (workspace / "mine.html").write_text("mine")
    done = call("gallery.py", "--output", "mine.html")
    assert done.exit_code == 1 and (workspace / "mine.html").read_text() == "mine"
    assert call("gallery.py", "--output", "no/such/folder.html").exit_code == 1
    gallery("--output", "mine.html", "--force")
    gallery("--output", "mine.html")
    assert gallery("--output", ".")[0]["file"] == str(workspace / "gallery.html")


def test_texts_are_cut(root: Path) -> None:
    failed(root, "long", "s" * 50_000, prompt="p" * 500_000)
    final, found = gallery()
    assert final["bytes"] < 30_000 and "[cut, 500000 characters]" in found.source


def test_without_its_library_it_is_one_clear_line(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    succeeded(root, "boat")
    monkeypatch.setitem(sys.modules, "jinja2", None)
    page.compiled_template.cache_clear()
    done = call("gallery.py")
    assert done.exit_code == 1 and "jinja2" in done.error["message"] and "jinja2" in done.error["hint"]
    assert not (root / "gallery.html").exists()


def test_a_full_disk_leaves_the_old_page(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    succeeded(root, "boat")
    gallery()
    before = (root / "gallery.html").read_bytes()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(page.durable_files, "write_atomic", full)
    done = call("gallery.py")
    assert done.exit_code == 1 and "disk is full" in done.error["message"]
    assert (root / "gallery.html").read_bytes() == before


def test_words_for_people(root: Path) -> None:
    from support.commands import call_unchecked

    succeeded(root, "boat")
    code, stdout, _ = call_unchecked("gallery.py", "--text")
    assert code == 0 and stdout.decode().splitlines() == [
        f"The page of one run is in {root / 'gallery.html'}; open it in a browser."
    ]


def test_the_newest_200_of_many_folders_are_quick(root: Path) -> None:
    for number in range(1_000):
        by_hand(root, f"20260101-{number:06d}-00000-0000", f"p{number}")
    final, found = gallery("--latest", "200")
    assert final["shown"] == 200 and found.all("article")[0]["aria-label"] == "p999"
    assert final["bytes"] < 600_000
    reads = 0
    real = RunStore.read

    def counted(self: RunStore, folder: Path) -> Run | None:
        nonlocal reads
        reads += 1
        return real(self, folder)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunStore, "read", counted)
        gallery("--latest", "200")
    assert reads <= 202, "names tell which folders are old: none of the others is opened"


def test_more_than_a_page_holds_is_counted(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "MOST_CARDS", 3)
    for number in range(5):
        by_hand(root, f"20260101-{number:06d}-00000-0000", f"p{number}")
    final, found = gallery("--since", "2020-01-01")
    assert (final["shown"], final["total"]) == (3, 5) and "2 more were left out" in html.unescape(found.source)
    batch(root, [{"status": "waiting"}] * 5)
    final, _ = gallery("--batch", "shorts")
    assert (final["shown"], final["total"]) == (3, 5)

"""The live line and the download bar, on a real pseudo-terminal."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from support.commands import SCRIPTS, environment

pytest.importorskip("rich")
pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_terminal(argv: list[str], **options: object) -> tuple[subprocess.CompletedProcess[bytes], str]:
    """A process whose stderr is a terminal of 100 columns; stdout stays a pipe."""
    import fcntl
    import pty
    import struct
    import termios

    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    shown = bytearray()

    def read() -> None:
        while True:
            try:
                part = os.read(controller, 65536)
            except OSError:
                return
            if not part:
                return
            shown.extend(part)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=terminal, timeout=60, **options)  # type: ignore[call-overload]
    finally:
        os.close(terminal)
        reader.join(5)
        os.close(controller)
    return done, shown.decode("utf-8", "replace")


@pytest.mark.process
def test_a_wait_on_a_terminal_shows_a_live_line_and_leaves_the_result(tmp_path: Path) -> None:
    argv = [sys.executable, str(SCRIPTS / "create_and_wait.py"), "--sandbox", "--prompt", "a boat", "--duration", "4"]
    done, shown = on_terminal([*argv, "--poll-interval", "0.2"], env=environment(TERM="xterm-256color"), cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.count(b'"final":true') == 1 and b"\x1b" not in done.stdout, "stdout is for machines all the same"
    plain = ESCAPES.sub("", shown)
    assert "running" in plain and "\x1b[" in shown
    assert "video.mp4" in plain.strip().splitlines()[-1], "the last line is the result"
    assert "\x1b[?25h" in shown, "the cursor is back"
    assert "?X-Tos" not in plain and "Signature" not in plain, "links are shown without their query"


SCRIPT = """
import sys, time
sys.path.insert(0, {scripts!r})
from videotasks.output.live_line import LiveScreen
screen = LiveScreen(sys.stderr)
{body}
screen.close()
sys.stderr.write("END\\n")
"""


def screen(body: str) -> str:
    code = SCRIPT.format(scripts=str(SCRIPTS), body=body)
    done, shown = on_terminal([sys.executable, "-c", code], env=environment(TERM="xterm-256color"))
    assert done.returncode == 0, shown
    return shown


@pytest.mark.process
@pytest.mark.parametrize(
    ("body", "check"),
    [
        ("screen.status('running [bold]x[/bold] :boat:', 40)\ntime.sleep(0.3)", lambda t: "[bold]x[/bold] :boat:" in t),
        ("screen.status('queued', None)\nscreen.above('a line\\nmore [red]')\ntime.sleep(0.3)", lambda t: "[red]" in t),
        ("screen.download(0, None)\nscreen.download(5_000_000, 10_000_000)\ntime.sleep(0.3)", lambda t: "5.0" in t),
        (
            "screen.status('a', 1)\nscreen.download(1, 2)\nscreen.status('b', None)\nscreen.close()",
            lambda t: "END" in t,
        ),
        ("screen.close()\nscreen.close()\nscreen.above('after')", lambda t: "after" in t),
    ],
)
def test_text_is_shown_as_text_and_everything_may_come_in_any_order(body: str, check: Callable[[str], bool]) -> None:
    plain = ESCAPES.sub("", screen(body))
    assert check(plain), plain
    assert plain.rstrip().endswith("END")


@pytest.mark.process
def test_without_rich_there_are_plain_lines(tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "rich.py").write_text("raise ModuleNotFoundError(name='rich')", encoding="utf-8")
    path = os.pathsep.join([str(tmp_path / "broken"), os.environ["PYTHONPATH"]])
    argv = [sys.executable, str(SCRIPTS / "create_and_wait.py"), "--sandbox", "--prompt", "a boat", "--duration", "4"]
    env = environment(TERM="xterm", PYTHONPATH=path, VIDEO_TASKS_SANDBOX_SPEED="2")  # seen running at least once
    done, shown = on_terminal([*argv, "--poll-interval", "0.2", "--no-download"], env=env, cwd=tmp_path)
    assert done.returncode == 0 and "running" in shown and "\x1b" not in shown


class Reflowing:
    """A terminal that wraps anew when it is resized: its lines are logical, the cursor stays with its letter."""

    def __init__(self) -> None:
        self.lines, self.row, self.column = [""], 0, 0

    def feed(self, text: str) -> None:
        for part in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", text):
            if part == "\r":
                self.column = 0
            elif part == "\n":
                self.row, self.column = self.row + 1, 0
                self.lines += [""] * (self.row + 1 - len(self.lines))
            elif part == "\x1b[J":
                self.lines = [*self.lines[: self.row], self.lines[self.row][: self.column]]
            elif part.startswith("\x1b"):
                self.row -= int(part[2:-1]) if part.endswith("A") else 0
            else:
                line = self.lines[self.row].ljust(self.column)
                self.lines[self.row] = line[: self.column] + part + line[self.column + len(part) :]
                self.column += len(part)


@pytest.mark.process
def test_a_window_that_is_narrowed_keeps_no_stale_line() -> None:
    body = """
import fcntl, struct, termios
screen.rows([("run-1", "running 10 %"), ("run-2", "queued")])
screen.status("running " + "x" * 60, 40)
time.sleep(0.3)
fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 40, 0, 0))
time.sleep(0.5)
screen.status("running y", 50)
screen.above("a word between")
"""
    terminal = Reflowing()
    terminal.feed(screen(body))
    assert [line for line in terminal.lines if line.strip()] == ["a word between", "END"]


@pytest.mark.process
def test_what_is_painted_is_narrower_than_the_window() -> None:
    shown = ESCAPES.sub("", screen("screen.status('running ' + 'x' * 400, 40)\ntime.sleep(0.3)"))
    painted = [part for part in re.split(r"[\r\n]+", shown) if "running" in part]
    assert painted and max(map(len, painted)) < 100

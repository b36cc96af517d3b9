"""The live line, the table of many and the download bar of a terminal. Imported only when there is a terminal.

rich lays the lines out; painting is ours. The cursor is parked at the first letter of what was painted: a terminal
that is narrowed wraps the old line and keeps the cursor with that letter, so that erasing from there to the end of
the screen leaves no stale half of it. (rich parks it at the end, and erases one row of the two.)
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, Any

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

ERASE_BELOW, HIDE_CURSOR, SHOW_CURSOR = "\x1b[J", "\x1b[?25l", "\x1b[?25h"
REFRESH_S = 0.2


class LiveScreen:
    """What follows a task (or many), then its download, in place. Text is shown as text, not markup."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._console = Console(file=stream, highlight=False, markup=False, emoji=False)
        self._lock = threading.RLock()
        self._progress: Progress | None = None
        self._downloading = False
        self._rows: list[tuple[str, str]] = []
        self._shown = False  # painting goes on; between step_aside and come_back it does not
        self._stop: threading.Event | None = None

    @property
    def usable(self) -> bool:
        """False on a console without escape sequences: plain lines do there."""
        return not self._console.legacy_windows

    # -- what is shown --

    def status(self, text: str, percent: float | None) -> None:
        columns = TextColumn("{task.description}", markup=False), BarColumn(24), TimeElapsedColumn()
        total = 100 if percent is not None else None
        self._progressed(False, columns, description=text, total=total, completed=percent or 0)

    def download(self, done: int, total: int | None) -> None:
        columns = TextColumn("downloading", markup=False), BarColumn(24), DownloadColumn(), TransferSpeedColumn()
        self._progressed(True, columns, total=total, completed=done)

    def _progressed(self, downloading: bool, columns: Sequence[ProgressColumn], **shown: Any) -> None:
        with self._lock:
            if self._progress is None or self._downloading != downloading:
                self._downloading = downloading
                self._progress = Progress(SpinnerColumn(), *columns, console=self._console, auto_refresh=False)
                self._progress.add_task("", total=None)
            self._progress.update(self._progress.task_ids[0], **shown)
            self._show()

    def rows(self, rows: Sequence[tuple[str, str]]) -> None:
        """Many tasks: (run id, status in words) each, above the line."""
        with self._lock:
            self._rows = list(rows)
            self._show()

    def above(self, text: str) -> None:
        with self._lock:
            self._write(ERASE_BELOW + text + "\n" if self._shown else text + "\n")
            self._paint()

    def step_aside(self) -> None:
        """Take the lines away for a moment: something else is about to be written to the same terminal."""
        with self._lock:
            if self._shown:
                self._write(ERASE_BELOW + SHOW_CURSOR)
                self._shown = False

    def come_back(self) -> None:
        with self._lock:
            if self._stop is not None and not self._downloading:
                self._show()

    def close(self) -> None:
        with self._lock:
            self.step_aside()
            self._progress, self._rows = None, []
            if self._stop is not None:
                self._stop.set()
                self._stop = None

    # -- painting --

    def _show(self) -> None:
        if not self._shown:
            self._shown = True
            self._write(HIDE_CURSOR)
        if self._stop is None:
            self._stop = threading.Event()
            threading.Thread(target=self._refresh, args=(self._stop,), daemon=True).start()
        self._paint()

    def _refresh(self, stop: threading.Event) -> None:
        while not stop.wait(REFRESH_S):
            with self._lock:
                if stop is self._stop:
                    self._paint()

    def _paint(self) -> None:
        if not self._shown:
            return
        width, height = self._console.size
        with self._console.capture() as captured:
            for renderable in self._renderables(height):
                self._console.print(renderable, width=max(width - 1, 1), no_wrap=True, overflow="ellipsis")
        text = captured.get().rstrip("\n")
        lines = text.count("\n")
        self._write(ERASE_BELOW + text + (f"\x1b[{lines}A" if lines else "") + "\r")

    def _renderables(self, height: int) -> list[RenderableType]:
        shown: list[RenderableType] = []
        if self._rows:
            table = Table.grid(padding=(0, 2))
            room = max(height - 3, 1)
            for name, words in self._rows[:room]:
                table.add_row(Text(name), Text(words))
            if len(self._rows) > room:
                table.add_row(Text(f"and {len(self._rows) - room} more"), Text(""))
            shown.append(table)
        if self._progress is not None:
            shown.append(self._progress.get_renderable())
        return shown

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
        except UnicodeEncodeError:
            self._stream.write(text.encode("ascii", "backslashreplace").decode("ascii"))
        except (OSError, ValueError):
            return  # nobody looks any more: a line of progress is no reason to fail
        with suppress(OSError, ValueError):
            self._stream.flush()

"""The live line and the download bar of a terminal, by rich. Imported only when stderr is a terminal."""

from __future__ import annotations

from typing import IO

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)
from rich.text import Text


class LiveScreen:
    """One line that follows the task, then one bar that follows the download. Text is shown as text, not markup."""

    def __init__(self, stream: IO[str]) -> None:
        self._console = Console(file=stream, highlight=False, markup=False, emoji=False)
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._downloading = False
        self._last: tuple[str, float | None] | None = None

    def _start(self, *columns: SpinnerColumn | TextColumn | BarColumn | TimeElapsedColumn) -> Progress:
        self.close()
        progress = Progress(*columns, console=self._console, transient=True, refresh_per_second=5)
        progress.start()
        self._progress = progress
        return progress

    def status(self, text: str, percent: float | None) -> None:
        self._last = (text, percent)
        if self._progress is None or self._downloading:
            self._downloading = False
            progress = self._start(
                SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(24), TimeElapsedColumn()
            )
            self._task = progress.add_task(text, total=None)
        assert self._progress is not None and self._task is not None
        self._progress.update(
            self._task, description=text, total=100 if percent is not None else None, completed=percent or 0
        )

    def download(self, done: int, total: int | None) -> None:
        if self._progress is None or not self._downloading:
            self._downloading = True
            progress = self._start(
                SpinnerColumn(),
                TextColumn("downloading", markup=False),
                BarColumn(24),
                DownloadColumn(),  # type: ignore[arg-type]
                TransferSpeedColumn(),  # type: ignore[arg-type]
            )
            self._task = progress.add_task("downloading", total=total)
        assert self._progress is not None and self._task is not None
        self._progress.update(self._task, completed=done, total=total)

    def above(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)

    def step_aside(self) -> None:
        """Take the line away for a moment: something else is about to be written to the same terminal."""
        self.close()

    def come_back(self) -> None:
        if self._last is not None and not self._downloading:
            self.status(*self._last)

    def close(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
            self._task = None

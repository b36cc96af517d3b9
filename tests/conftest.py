"""What holds for every test: no outside network, no real key, no trace outside the test's own folder."""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import marshal
import os
import re
import site
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

REPO = Path(__file__).resolve().parent.parent
OFFLINE = REPO / "tests" / "support" / "offline"
CACHE_HOME = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
USER_BASE = site.getuserbase()
DATA = os.environ.get("VIDEO_TASKS_DATA", "")
DATA_DIR = Path(DATA).resolve() if DATA else None

# A script started by `uv run` says so in `next`; a test decides for itself which runner it plays.
RUNNER_VARIABLES = {"UV", "UV_RUN_RECURSION_DEPTH", "PYTHONUNBUFFERED", "CLAUDECODE", "NO_COLOR", "FORCE_COLOR"}
FOREIGN = re.compile(r"(_API_KEY|_API_TOKEN|_BASE_URL|_PROXY|_proxy)$|^(FAL_KEY$|VIDEO_TASKS_|GIT_)")

sys.path.insert(0, str(OFFLINE))
sitecustomize = sys.modules.get("sitecustomize")
if sitecustomize is None or not hasattr(sitecustomize, "OutsideNetworkError"):
    sys.modules.pop("sitecustomize", None)  # the distribution's own
    import sitecustomize
sys.path.remove(str(OFFLINE))


def pytest_configure(config: pytest.Config) -> None:
    keep_bytecode(config)
    if config.getoption("numprocesses", None) and not config.getoption("hypothesis_profile", None):
        return  # this process only hands out tests to workers
    # An entry script forbids bytecode as it is imported: imported by a test it would keep pytest from storing the
    # rewritten tests, which costs each worker a third of its start.
    written = sys.dont_write_bytecode
    for script in sorted((REPO / "scripts").glob("*.py")):
        importlib.import_module(script.stem)
    sys.dont_write_bytecode = written
    try:
        from hypothesis import settings
    except ImportError:
        return
    # A busy two-core machine is no counterexample (deadline), and a failure in CI is the same failure at home.
    settings.register_profile("default", deadline=None, database=None, max_examples=25, derandomize="CI" in os.environ)
    settings.register_profile("thorough", deadline=None, database=None, max_examples=150)
    settings.load_profile("default")


def keep_bytecode(config: pytest.Config) -> None:
    """Where none may stand beside the sources, pytest's own cache takes it: compiling tests and libraries anew takes
    each worker 16 s. Workers and commands inherit the place.
    """
    if sys.dont_write_bytecode and hasattr(config, "cache"):
        sys.pycache_prefix = os.environ["PYTHONPYCACHEPREFIX"] = str(config.cache.mkdir("bytecode"))
        sys.dont_write_bytecode = False
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Workers that have no bytecode yet share the work: each begins with another file and finds the rest compiled."""
    worker = getattr(session.config, "workerinput", None)
    files = [file for place in session.config.args if Path(place).is_dir() for file in Path(place).rglob("test_*.py")]
    if not worker or not files:
        return
    share = len(files) * int(worker["workerid"].removeprefix("gw")) // worker["workercount"]
    for file in files[share:] + files[:share]:
        sys.path.insert(0, str(file.parent))
        # Whatever goes wrong here goes wrong again, and is told, when the file is collected.
        with contextlib.suppress(Exception, pytest.skip.Exception):
            importlib.import_module(file.stem)
        sys.path.remove(str(file.parent))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A worker sends 20,000 of these: without the names that nobody asks a finished test for they are half as long."""
    report = yield
    report.keywords = {}
    return report


def pytest_collection_finish() -> None:
    """Thousands of collected tests are no garbage: each full look for some would take a third of a second."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """Three workers more than cores, unless the environment says how many: while some wait for servers others work.

    On two cores 3 take 123 s, 4 take 113, 5 take 101 and 6 take 100.
    """
    if os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS"):
        return None
    return (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1) + 3


@pytest.fixture(autouse=True)
def no_outside_network() -> Iterator[list[str]]:
    """Fail the test that tried to leave the machine, also when the code under test swallowed the refusal.

    A test of the refusal itself clears the yielded list.
    """
    sitecustomize.refused.clear()
    yield sitecustomize.refused
    tried, sitecustomize.refused[:] = list(sitecustomize.refused), []
    assert not tried, f"tried to reach {', '.join(tried)}: tests talk to loopback only"


class EmptyFolders:
    """Folders that are empty, and are lent again as long as nobody has put anything in: most tests never do, and two
    new ones for each were a third of what a test costs before its first line.
    """

    def __init__(self, base: Path) -> None:
        self.base = base
        self.made = 0
        self.free: list[Path] = []

    @contextlib.contextmanager
    def one(self) -> Iterator[Path]:
        folder = self.free.pop() if self.free else self.another()
        yield folder
        with contextlib.suppress(OSError):  # the test has removed it
            if not os.listdir(folder):
                self.free.append(folder)

    def another(self) -> Path:
        self.made += 1
        folder = self.base / f"folder{self.made}"
        folder.mkdir(mode=0o700)
        return folder


@pytest.fixture(scope="session")
def empty_folders(tmp_path_factory: pytest.TempPathFactory) -> EmptyFolders:
    return EmptyFolders(tmp_path_factory.getbasetemp())


@pytest.fixture
def tmp_path(empty_folders: EmptyFolders) -> Iterator[Path]:
    """An empty folder, as pytest's own is."""
    with empty_folders.one() as folder:
        yield folder


@pytest.fixture(autouse=True)
def clean_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory, empty_folders: EmptyFolders
) -> Iterator[Path]:
    """No key, origin, proxy or run folder of the developer reaches a test; the yielded home is empty."""
    from videotasks.core import invocation, redaction

    for name in list(os.environ):
        if name in RUNNER_VARIABLES or FOREIGN.search(name):
            monkeypatch.delenv(name)
    # Libraries installed with `pip install --user`, and uv's downloads, stay reachable from the moved home.
    monkeypatch.setenv("PYTHONUSERBASE", USER_BASE)
    monkeypatch.setenv("UV_CACHE_DIR", os.environ.get("UV_CACHE_DIR") or str(CACHE_HOME / "uv"))
    monkeypatch.setenv("PYTHONPATH", str(OFFLINE))
    # A rehearsal takes as long as a real task only for whoever watches it.
    monkeypatch.setenv("VIDEO_TASKS_SANDBOX_SPEED", "20")
    # Scripts keep their bytecode in the user's cache: an empty home a test would compile every library anew.
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", sys.pycache_prefix or str(tmp_path_factory.getbasetemp() / "bytecode"))
    with empty_folders.one() as home:
        for name in ("HOME", "USERPROFILE"):
            monkeypatch.setenv(name, str(home))
        monkeypatch.setenv("XDG_CACHE_HOME", str(home / ".cache"))
        yield home
    # A command that ran in this process leaves its name and its secrets behind.
    invocation.called_as.clear()
    redaction.forget_all()


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test stands in an empty folder of its own, so that no run folder lands in the checkout."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session", autouse=True)
def real_work() -> Iterator[SimpleNamespace]:
    """What takes a real command its time takes a test less; yielded is how it was before.

    A pause before another try is a hundredth; a rehearsal renders a tenth of the width and height, 0.02 s instead of
    0.3 for four seconds, and one of three seeds, so that another test finds it rendered; and the text of a profile is
    parsed once, 10 ms, not for each empty home anew. Nothing is forced onto the disk, for which the suite asks 30,000
    times.
    """
    from videotasks.downloads import transfer
    from videotasks.lifecycle.session import Context
    from videotasks.providers import load_profile
    from videotasks_sandbox import mp4writer

    render = functools.lru_cache(maxsize=100)(mp4writer.render_video)

    def small(prompt: str, *, width: int, height: int, seed: int = 0, **more: Any) -> Any:
        width, height = (max(2, pixels // real.smaller // 2 * 2) for pixels in (width, height))
        return render(prompt, width=width, height=height, seed=seed % 3, **more)

    def parse_once(data: bytes, path: Path) -> Any:
        if data not in parsed:
            parsed[data] = marshal.dumps(real.parse_document(data, path))
        return marshal.loads(parsed[data])

    parsed: dict[bytes, bytes] = {}
    real = SimpleNamespace(
        smaller=10,
        pause=Context.pause,
        backoff=transfer.BACKOFF_S,
        most_backoff=transfer.MAX_BACKOFF_S,
        render_video=mp4writer.render_video,
        parse_document=load_profile.parse_document,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Context, "pause", lambda self, seconds: self.mailbox.sleep(seconds / 100))
        patch.setattr(transfer, "BACKOFF_S", real.backoff / 100)
        patch.setattr(transfer, "MAX_BACKOFF_S", real.most_backoff / 100)
        patch.setattr(mp4writer, "render_video", small)
        patch.setattr(load_profile, "parse_document", parse_once)
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield real


@pytest.fixture
def real_pauses(real_work: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a command of this process tries again it pauses as long as for users."""
    from videotasks.downloads import transfer
    from videotasks.lifecycle.session import Context

    monkeypatch.setattr(Context, "pause", real_work.pause)
    monkeypatch.setattr(transfer, "BACKOFF_S", real_work.backoff)
    monkeypatch.setattr(transfer, "MAX_BACKOFF_S", real_work.most_backoff)


@pytest.fixture
def instant_tasks(clean_environment: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Many rehearsals in one test: each task takes 0.02 s."""
    from support.commands import fast_sandbox

    monkeypatch.setenv("VIDEO_TASKS_SANDBOX_SPEED", "50")
    with fast_sandbox(0.02):
        yield


@pytest.fixture
def half_videos(real_work: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rehearsal in this process renders half the width and height: a smaller frame would be refused as an input."""
    monkeypatch.setattr(real_work, "smaller", 2)


@pytest.fixture
def full_videos(real_work: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rehearsal in this process renders the size that was asked for."""
    from videotasks_sandbox import mp4writer

    monkeypatch.setattr(mp4writer, "render_video", real_work.render_video)


@pytest.fixture(scope="session")
def repo() -> Path:
    """The root of this checkout."""
    return REPO


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder $VIDEO_TASKS_DATA names (material that is not part of the project); skips without it."""
    if DATA_DIR is None or not DATA_DIR.is_dir():
        pytest.skip("VIDEO_TASKS_DATA is not set")
    return DATA_DIR

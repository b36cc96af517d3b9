"""What holds for every test: no outside network, no real key, no trace outside the test's own folder."""

from __future__ import annotations

import importlib
import os
import re
import site
import sys
from collections.abc import Iterator
from pathlib import Path
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


def pytest_configure() -> None:
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
    settings.register_profile("default", deadline=None, database=None)
    settings.register_profile("ci", deadline=None, database=None, derandomize=True)
    settings.load_profile("ci" if os.environ.get("CI") else "default")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """One worker more than cores, unless the environment says how many: while one waits for a server another works."""
    if os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS"):
        return None
    return (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1) + 1


@pytest.fixture(autouse=True)
def no_outside_network() -> Iterator[list[str]]:
    """Fail the test that tried to leave the machine, also when the code under test swallowed the refusal.

    A test of the refusal itself clears the yielded list.
    """
    sitecustomize.refused.clear()
    yield sitecustomize.refused
    tried, sitecustomize.refused[:] = list(sitecustomize.refused), []
    assert not tried, f"tried to reach {', '.join(tried)}: tests talk to loopback only"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """No key, origin, proxy or run folder of the developer reaches a test; the yielded home is empty."""
    for name in list(os.environ):
        if name in RUNNER_VARIABLES or FOREIGN.search(name):
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / ".cache"))
    # Libraries installed with `pip install --user`, and uv's downloads, stay reachable from the moved home.
    monkeypatch.setenv("PYTHONUSERBASE", USER_BASE)
    monkeypatch.setenv("UV_CACHE_DIR", os.environ.get("UV_CACHE_DIR") or str(CACHE_HOME / "uv"))
    monkeypatch.setenv("PYTHONPATH", str(OFFLINE))
    # A rehearsal takes as long as a real task only for whoever watches it.
    monkeypatch.setenv("VIDEO_TASKS_SANDBOX_SPEED", "20")
    # Scripts keep their bytecode in the user's cache: an empty home a test would compile every library anew.
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", sys.pycache_prefix or str(tmp_path_factory.getbasetemp() / "bytecode"))
    return home


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test stands in an empty folder of its own, so that no run folder lands in the checkout."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def hurried_pauses() -> Iterator[pytest.MonkeyPatch]:
    """Before a command of this process tries again it pauses for a hundredth; its budgets count the whole.

    A test of the pauses themselves undoes the yielded patch.
    """
    from videotasks.downloads import transfer
    from videotasks.lifecycle.session import Context

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Context, "pause", lambda self, seconds: self.mailbox.sleep(seconds / 100))
        patch.setattr(transfer, "BACKOFF_S", transfer.BACKOFF_S / 100)
        patch.setattr(transfer, "MAX_BACKOFF_S", transfer.MAX_BACKOFF_S / 100)
        yield patch


@pytest.fixture(autouse=True)
def small_videos() -> Iterator[pytest.MonkeyPatch]:
    """A rehearsal in this process renders a tenth of the width and height: 0.02 s instead of 0.3 for four seconds.

    A test to which the size matters undoes the yielded patch.
    """
    from videotasks_sandbox import mp4writer

    def small(prompt: str, *, width: int, height: int, **more: Any) -> Any:
        return render_video(prompt, width=max(2, width // 20 * 2), height=max(2, height // 20 * 2), **more)

    render_video = mp4writer.render_video
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mp4writer, "render_video", small)
        yield patch


@pytest.fixture(autouse=True)
def nothing_of_another_command() -> Iterator[None]:
    """A command that ran in this process leaves its name and its secrets behind: the next test must not find them."""
    from videotasks.core import invocation, redaction

    yield
    invocation.called_as.clear()
    redaction.forget_all()


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

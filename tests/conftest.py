"""What several test modules share."""

import contextlib
import gc
import importlib
import logging
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from pipeline import pool

ROOT = Path(__file__).resolve().parent.parent

# As in the commands: more threads only wait for each other.
os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
# Hundreds of processes are started; without this each of them compiles all that it imports.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A shell lets what it starts in the background ignore Ctrl-C, and so would all that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says how busy the machine is, and nothing about the code.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")

gc.disable()  # until all is imported and collected

LONGEST = (
    "small_run", "several_classes", "kill", "resume", "workflow", "beside", "search_workflow", "fuzz", "steps",
    "downloads", "train", "predict", "system", "export", "privacy", "embeddings", "compare", "auto", "audit", "families",
    "bootstrap", "own_data", "own_method", "limits", "figures", "stack_rules", "run",
)  # fmt: skip
"""The test files that take longest. They start first, so that no core waits for the last of them."""


def pytest_sessionstart() -> None:
    """Import the tests, each worker beginning at others: what one of them has compiled, the others only read."""
    if worker := os.environ.get("PYTEST_XDIST_WORKER"):
        names = [f"tests.{path.stem}" for path in sorted(Path(__file__).parent.glob("test_*.py"))]
        first = len(names) * int(worker.removeprefix("gw")) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        for name in names[first:] + names[:first]:
            with contextlib.suppress(BaseException):  # said when it is collected
                importlib.import_module(name)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first."""
    order = {f"test_{name}": number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what was imported and collected: it stays to the end."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)  # as long as there is memory, to look for garbage only takes time
    gc.enable()


@pytest.fixture(autouse=True)
def log_level() -> Iterator[None]:
    """Leave our logger as it was: a command may quieten it, and the next test in this process reads it."""
    log = logging.getLogger("typhon")
    level = log.level
    yield
    log.setLevel(level)


@pytest.fixture(autouse=True)
def torch_seed() -> None:
    """Let what a test draws depend on no test before it."""
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data beside the repository; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("TYPHON_SHARED_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; TYPHON_SHARED_DATA names another folder")
    return folder


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read files in this process, where what a test changes is seen, and not in a child."""
    monkeypatch.setattr(pool, "in_worker", lambda: True)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A real Chromium without a window; tests that need it are skipped where it or its driver is absent."""
    programs = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    if missing := [name for name, path in programs.items() if not path]:
        pytest.skip(f"no {' and no '.join(missing)}: apt install chromium chromium-driver")
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = programs["chromium"]
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for word in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "disable-background-networking",
                 "window-size=1500,950"):  # fmt: skip
        options.add_argument(f"--{word}")
    driver = webdriver.Chrome(options, webdriver.ChromeService(programs["chromedriver"]))
    yield driver
    driver.quit()

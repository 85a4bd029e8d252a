"""Fixtures for all tests."""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import shutil
import signal
import warnings
from collections.abc import AsyncIterator, Generator, Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.support import compiled_statements, leaks, postgresql, processes, template
from tests.support.receiver import Receiver

# Hypothesis fails what takes longer than 200 ms once, and what is slow to make examples: both are the machine's, not the code's.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# What a marker needs, as a program that must be found.
_NEEDS = {"prometheus": ("prometheus", "promtool"), "browser": ("chromium",)}

# Set where everything is installed that a test may need: only tests with this marker may still be skipped, and
# those of other projects' specifications; all others then fail.
_SKIPS_NOTHING_BUT = os.environ.get("SKIPS_NOTHING_BUT")


processes.FORKED = True
compiled_statements.share()

# Under nohup hang-ups are ignored, also by the programs that tests start: they must end them.
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    may_be_skipped = {*(_SKIPS_NOTHING_BUT or "").split(), "reference"}
    expected = _SKIPS_NOTHING_BUT is None or any(mark.name in may_be_skipped for mark in item.iter_markers())
    if report.skipped and not expected and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome, report.longrepr = "failed", f"must not be skipped here. {reason}"
    return report


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if template.ON_POSTGRESQL:
        of_sqlite = [item for item in items if item.get_closest_marker("sqlite")]
        config.hook.pytest_deselected(items=of_sqlite)
        items[:] = [item for item in items if item not in of_sqlite]
    for item in items:
        if item.get_closest_marker("postgresql") and postgresql.programs() is None:
            item.add_marker(pytest.mark.skip(reason="needs PostgreSQL's server (.ci/run installs it)"))
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker("properties")
        for marker, programs in _NEEDS.items():
            missing = [name for name in programs if item.get_closest_marker(marker) and shutil.which(name) is None]
            if missing:
                item.add_marker(pytest.mark.skip(reason=f"needs {', '.join(missing)} (.ci/run installs it)"))
    _long_first(items)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    gc.disable()  # what is imported and collected is no garbage
    with warnings.catch_warnings():
        # Importing neonize leaves pipes of ``os.popen`` open; what tests leave open is still an error.
        warnings.simplefilter("ignore", ResourceWarning)
        result = yield
        # What was imported and collected stays: later collections of garbage need not look at it again and again.
        gc.enable()
        gc.collect()
        gc.freeze()
    return result


def _long_first(items: list[pytest.Item]) -> None:
    """Put the tests marked ``long`` where a worker begins, so that none of them is what everybody waits for in the end.

    xdist (``--dist worksteal``) gives each worker an equal run of neighbours, which share their fixtures.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    long = [item for item in items if item.get_closest_marker("long")]
    short = [item for item in items if not item.get_closest_marker("long")]
    ordered: list[pytest.Item] = []
    for worker in range(workers):
        mine = long[worker::workers]
        size = (worker + 1) * len(items) // workers - len(ordered) - len(mine)
        ordered += [*mine, *short[:size]]
        del short[:size]
    items[:] = ordered + short


@pytest.fixture(autouse=True)
def _databases_are_dropped() -> Iterator[None]:
    """Set up before everything that opens one."""
    yield
    template.drop_databases()


@pytest.fixture(autouse=True)
def _nothing_is_left(request: pytest.FixtureRequest) -> None:
    """An asynchronous test ends all it started; it is set up first, so it checks after all other fixtures are down."""
    if inspect.iscoroutinefunction(getattr(request, "function", None)):
        request.getfixturevalue("_nothing_is_left_on_the_loop")


@pytest.fixture
async def _nothing_is_left_on_the_loop() -> AsyncIterator[None]:
    leaks.watch(asyncio.get_running_loop())
    yield
    left = await leaks.tasks_left()
    assert not left, "tasks go on after the test:\n" + "\n".join(left)
    closing = await leaks.connections_left()
    assert not closing, "connections do not end after the test:\n" + "\n".join(closing)
    found = leaks.take_found()
    assert not found, "errors that no one looked at:\n" + "\n".join(found)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A running webhook receiver."""
    async with Receiver() as running:
        yield running

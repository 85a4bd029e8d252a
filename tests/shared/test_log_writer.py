"""The log never makes its callers wait; what is lost or left out is counted and said."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator

import pytest
import structlog

from shared import logs
from shared.log_budget import BURST_BYTES, LogBudget
from shared.log_writer import LogStream, LogWriter
from tests.support.blocked_pipe import full_pipe
from tests.support.waiting import eventually


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    hooks = threading.excepthook, sys.unraisablehook
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
    threading.excepthook, sys.unraisablehook = hooks


def _read_all(reading: int) -> bytes:
    os.set_blocking(reading, False)
    received = bytearray()
    while True:
        try:
            piece = os.read(reading, 65536)
        except BlockingIOError:
            return bytes(received)
        received += piece


async def test_lines_for_a_full_pipe_are_kept_up_to_a_bound_and_the_rest_is_counted() -> None:
    with full_pipe() as (reading, into):
        writer = LogWriter(into, buffer_bytes=10_000)
        begun = time.monotonic()
        for number in range(5_000):
            writer.write(f"line {number:06}\n")
        assert time.monotonic() - begun < 5
        assert not writer.drain(0.05)
        received = bytearray()

        def arrived() -> bool:
            received.extend(_read_all(reading))
            return b"were lost" in received

        await eventually(arrived, what="the note")
        writer.write("after\n")
        assert writer.drain(30)
        received.extend(_read_all(reading))
        lines = received.lstrip(b".").decode().splitlines()
        whole = [line for line in lines if line.startswith("line ")]
        lost = sum(int(line.split()[0]) for line in lines if line.endswith("were lost"))
        assert whole == sorted(whole)
        assert len(set(whole)) + lost == 5_000
        assert lost > 0
        assert lines[-1] == "after"


async def test_the_note_is_a_line_of_the_log_in_its_format() -> None:
    with full_pipe() as (reading, into):
        stream = LogStream(os.fdopen(os.dup(into), "w"), buffer_bytes=4_000)
        logs.configure("json", "info", stream)
        for number in range(200):
            logs.get("x").info("A sentence", event_name="a.b", number=number)
        received = bytearray()

        def arrived() -> bool:
            received.extend(_read_all(reading))
            return b"log.lost" in received

        await eventually(arrived, what="the note")
        note = next(line for line in received.lstrip(b".").splitlines() if b"log.lost" in line)
        value = json.loads(note)
        assert (value["event"], value["level"]) == ("log.lost", "warning")
        assert 0 < value["lines"] < 200
        assert stream.writer.drain(30)


@pytest.mark.parametrize("name", ["/dev/full", "a reader that is gone"])
def test_a_file_that_refuses_lines_does_no_harm(name: str) -> None:
    if name == "/dev/full":
        into = os.open(name, os.O_WRONLY)
    else:
        reading, into = os.pipe()
        os.close(reading)
    writer = LogWriter(into)
    for _ in range(10):
        writer.write("a line\n")
    assert not writer.drain(0.2)
    # Until it takes lines again. To close it now would let the thread write into whatever is opened next.
    with tempfile.TemporaryFile() as out:
        os.dup2(out.fileno(), into)
        assert writer.drain(30)
        assert b"were lost" in os.pread(into, 1000, 0)
    os.close(into)


def _lines(out: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_one_cause_cannot_flood_the_log_and_others_are_heard() -> None:
    out = io.StringIO()
    logs.configure("json", "info", out)
    for number in range(20_000):
        logs.get("x").warning("A key is wrong", event_name="key.wrong", number=number)
        if number % 5_000 == 0:
            logs.get("x").warning("Something else", event_name=f"other.{number}")
    assert len(out.getvalue()) < 2 * BURST_BYTES
    assert [line["event"] for line in _lines(out) if str(line["event"]).startswith("other")] == [
        "other.0", "other.5000", "other.10000", "other.15000",
    ]  # fmt: skip


def test_tracebacks_and_records_of_libraries_have_budgets_too() -> None:
    out = io.StringIO()
    logs.configure("json", "info", out)
    for number in range(2_000):
        try:
            raise ValueError(f"number {number}")
        except ValueError:
            logs.get("x").exception("It failed", event_name="it.failed")
        logging.getLogger("aiohttp.server").error("from %s", number)
        logging.getLogger("asyncio").error("from %s", number)
    assert len(out.getvalue()) < 4 * BURST_BYTES
    assert {line["source"] for line in _lines(out)} == {"x", "aiohttp.server", "asyncio"}
    assert {line["event"] for line in _lines(out)} == {"it.failed", "library.log"}


def test_what_was_left_out_is_counted_and_the_budget_refills() -> None:
    now = [0.0]
    budget = LogBudget(lambda: now[0])
    allowed = 0
    for _ in range(1_000):
        if budget.allows("a", calm=False):
            allowed += 1
            budget.spend("a", 1_000)
    assert 60 <= allowed <= 70
    assert budget.take_left_out() == {}, "said every few seconds only"
    now[0] = 20.0
    assert budget.take_left_out() == {"a": 1_000 - allowed}
    assert budget.allows("a", calm=False)


def test_an_error_in_a_thread_is_a_line_of_the_log() -> None:
    out = io.StringIO()
    logs.configure("json", "info", out)

    def fail() -> None:
        raise ValueError("in a thread")

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    assert [line["event"] for line in _lines(out)] == ["thread.failed"]

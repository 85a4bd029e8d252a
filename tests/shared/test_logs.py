"""One JSON line per event, with a sentence, and redacted; a console with symbols on a terminal."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from shared import logs
from tests.support import log_setup


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    with log_setup.restored():
        yield


def test_json_lines_carry_message_level_event_and_fields() -> None:
    out = io.StringIO()
    logs.configure("json", "info", out)
    logs.get("x").info("Keep-alive ping #1 successful (45ms)", event_name="ping.ok", latency_ms=45)
    line = json.loads(out.getvalue())
    assert line["message"] == "Keep-alive ping #1 successful (45ms)"
    assert (line["level"], line["event"], line["latency_ms"]) == ("info", "ping.ok", 45)
    assert line["time"].endswith("Z")


def test_secrets_are_masked_in_sentences_fields_and_tracebacks() -> None:
    out = io.StringIO()
    logs.configure("json", "info", out)
    try:
        raise ValueError("no route to 33612345678@s.whatsapp.net")
    except ValueError:
        logs.get("x").exception("Sending to +33612345678 failed", token="abc", to="33612345678")
    assert "33612345678" not in out.getvalue()
    assert "abc" not in out.getvalue()
    assert "ValueError" in out.getvalue()


def test_a_line_break_in_a_value_stays_inside_its_line() -> None:
    out = io.StringIO()
    logs.configure("json", "info", out)
    logs.get("x").info("named", name='a\n{"message":"forged"}')
    assert len(out.getvalue().splitlines()) == 1


def test_levels_below_the_least_are_left_out() -> None:
    out = io.StringIO()
    logs.configure("json", "warning", out)
    logs.get("x").info("quiet")
    assert out.getvalue() == ""


def test_the_console_has_the_symbols_and_the_sentence() -> None:
    out = io.StringIO()
    logs.configure("console", "info", out)
    logs.get("x").info("Server running on port 3000", event_name="server.started")
    logs.get("x").critical("ALERT: 3 consecutive keep-alive failures!")
    assert "✅ Server running on port 3000" in out.getvalue()
    assert "🚨 ALERT: 3 consecutive keep-alive failures!" in out.getvalue()


def test_programs_that_share_an_output_can_be_told_apart() -> None:
    out = io.StringIO()
    logs.configure("console", "info", out, program="bot")
    logs.get("x").info("Server running on port 3000", event_name="server.started")
    logs.configure("console", "info", out, program="watchdog")
    logs.get("x").info("Server running on port 3001", event_name="server.started")
    logs.configure("json", "info", out, program="worker")
    logs.get("x").info("Session connected", event_name="session.connected")
    bot, watchdog, worker = out.getvalue().splitlines()
    assert bot.startswith("bot      | ")
    assert watchdog.startswith("watchdog | ")
    assert json.loads(worker)["program"] == "worker"


def test_records_of_libraries_go_through_the_same_redaction() -> None:
    out = io.StringIO()
    logs.configure("json", "info", out)
    logging.getLogger("some.library").error("refused for %s", "33612345678")
    line = json.loads(out.getvalue())
    assert line["message"] == "refused for [redacted]"
    assert line["source"] == "some.library"


def test_a_stream_that_refuses_lines_does_no_harm() -> None:
    refused: list[str] = []

    class Full(io.StringIO):
        def write(self, text: str) -> int:
            refused.append(text)
            raise OSError(28, "No space left on device")

    logs.configure("json", "info", Full())
    logs.get("x").error("not written", event_name="a.b")
    assert "not written" in "".join(refused)

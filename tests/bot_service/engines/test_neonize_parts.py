"""The small parts of the neonize engine: what the library's log says, what the server's words mean, which id stands for which message."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import pytest

from bot_service.domain.session_record import Signal
from bot_service.domain.signals import SignalKind as K
from bot_service.engines.neonize import log_lines, repeat_turns, stanza_signals
from bot_service.engines.neonize.client_table_lock import ClientTableLock
from bot_service.engines.neonize.decrypt_marks import DecryptMarks
from bot_service.engines.neonize.errors import translate
from bot_service.engines.neonize.files import DeviceFiles
from bot_service.engines.neonize.receipt_gate import ReceiptGate
from bot_service.engines.neonize.sent_messages import KEPT, SentFile, SentMessage, SentMessages
from bot_service.engines.registry import files_of
from shared.clock import SystemClock


def stanza(text: str) -> log_lines.Stanza:
    found = log_lines.parse(text)
    assert found is not None
    return found


def test_a_message_line_gives_its_id_and_its_encrypted_parts() -> None:
    text = (
        '<message addressing_mode="pn" from="120@g.us" id="3A01" notify="Ann" t="1">'
        '<enc type="pkmsg" v="2"><!-- 9 bytes --></enc><enc type="skmsg" v="2"><!-- 9 bytes --></enc></message>'
    )
    assert (stanza(text).tag, stanza(text).id, stanza(text).envelopes) == ("message", "3A01", 2)


def test_a_name_that_looks_like_an_attribute_cannot_change_the_id() -> None:
    text = '<message from="1@s.whatsapp.net" id="REAL" notify="x" id="FAKE" t="1"><enc v="2"></enc></message>'
    assert stanza(text).id == "REAL"


def test_a_receipt_speaks_of_all_its_ids() -> None:
    text = '<receipt id="A" to="1@s.whatsapp.net" type="inactive"><list><item id="B"/><item id="C"/></list></receipt>'
    assert stanza(text).ids == ["A", "B", "C"]


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ('<ack class="message" from="1@s.whatsapp.net" id="A" t="1"/>', ["A"]),
        ('<ack class="message" error="463" from="1@s.whatsapp.net" id="A" t="1"/>', None),
        ('<ack class="receipt" from="1@s.whatsapp.net" id="A"/>', None),
        ('<receipt from="1@s.whatsapp.net" id="A" t="1"/>', ["A"]),
        ('<receipt from="1@s.whatsapp.net" id="A" t="1" type="read"><list><item id="B"/></list></receipt>', ["A", "B"]),
        ('<receipt from="1@s.whatsapp.net" id="A" t="1" type="retry"><retry/></receipt>', None),
        ('<message from="1@s.whatsapp.net" id="A" t="1"/>', None),
    ],
)
def test_acks_and_marks_prove_that_a_message_was_taken(text: str, ids: list[str] | None) -> None:
    assert stanza_signals.taken(stanza(text)) == ids


def test_what_was_seen_to_be_taken_is_remembered_with_its_first_time(tmp_path: Path) -> None:
    sent = SentMessages(SentFile(tmp_path / "s.sent"))
    sent.note(SentMessage("ours", "3EB0", "1@s.whatsapp.net"))
    sent.seen_taken("3EB0", 1000)
    sent.seen_taken("3EB0", 2000)
    sent.seen_taken("of another", 3000)
    sent.close()
    again = SentMessages(SentFile(tmp_path / "s.sent")).by_id("ours")
    assert again is not None
    assert again.taken_at_ms == 1000


def test_other_lines_are_no_stanzas() -> None:
    assert log_lines.parse("Got 515 code, reconnecting...") is None
    assert log_lines.ignored_message("Ignoring message 3A01 from 1@s.whatsapp.net: old counter") == "3A01"
    assert log_lines.ignored_message("Decrypting message from 1@s.whatsapp.net") is None
    assert (
        log_lines.unreadable_message("Error decrypting message 3A01 from 1@s.whatsapp.net: no valid sessions") == "3A01"
    )
    assert log_lines.unreadable_message("Ignoring message 3A01 from 1@s.whatsapp.net: old counter") is None
    answer = log_lines.Repeat("3A01", "2:5@s.whatsapp.net")
    for begin in ("Found message in local cache", "Found message in local cache with alternate chat JID 1@lid"):
        text = f"{begin} to accept retry receipt for 1@s.whatsapp.net/3A01 from 2:5@s.whatsapp.net"
        assert log_lines.repeat_begins(text) == answer
    assert log_lines.repeat_begins("Sent retry receipt #1 for 3A01") is None
    failed = "Failed to handle retry receipt for 1@s.whatsapp.net/3A01 from 2:5@s.whatsapp.net: "
    for end in (
        "Sent retry #1 for 1@s.whatsapp.net/3A01 to 2:5@s.whatsapp.net",
        failed,
        f"{failed}timeout\nwith more",
        "Dropping retry request from 3A01 for 2:5@s.whatsapp.net: internal retry counter is 10",
        "Retry receipt handler panicked: oh",
    ):
        assert log_lines.repeat_ends(end, answer), end
    assert not log_lines.repeat_ends("Sent retry #1 for 1@s.whatsapp.net/3A01 to 2:6@s.whatsapp.net", answer)
    assert not log_lines.repeat_ends("Sent retry receipt #1 for 3A01", answer)
    assert log_lines.not_repeated_message(f"{failed}couldn't find message 3A01") == "3A01"
    assert log_lines.not_repeated_message(f"{failed}timeout") is None
    assert log_lines.is_passed_over("Unhandled encrypted message (type new) from 1@s.whatsapp.net")
    assert not log_lines.is_passed_over("Decrypting message from 1@s.whatsapp.net")
    assert stanza('<iq id="1"><pair-device><ref>2@a</ref><ref>2@b</ref></pair-device></iq>').offered_codes == 2


@pytest.mark.parametrize(
    ("text", "pairing", "signal"),
    [
        ('<failure reason="401"/>', False, Signal(K.LOGGED_OUT, {"code": 401, "onConnect": True})),
        ('<failure reason="403"/>', False, Signal(K.PRIMARY_GONE, {"code": 403})),
        ('<failure reason="406"/>', False, Signal(K.BANNED, {"code": 406})),
        (
            '<failure code="103" expire="60" reason="402"/>',
            False,
            Signal(K.TEMP_BANNED, {"code": 103, "expiresInMs": 60_000}),
        ),
        ('<failure reason="405"/>', False, Signal(K.OUTDATED, {"code": 405})),
        ('<failure reason="409"/>', False, Signal(K.OUTDATED, {"code": 409})),
        ('<failure reason="500"/>', False, Signal(K.SERVER_UNAVAILABLE, {"code": 500})),
        ('<failure reason="503"/>', False, Signal(K.SERVER_UNAVAILABLE, {"code": 503})),
        ('<failure reason="418"/>', False, Signal(K.CONNECT_REFUSED, {"code": 418})),
        ('<failure reason="surprise"/>', False, Signal(K.CONNECT_REFUSED, {"code": 0})),
        ('<stream:error code="515"/>', True, Signal(K.PAIR_RESTART, {})),
        ('<stream:error code="515"/>', False, Signal(K.SERVER_UNAVAILABLE, {"code": 515})),
        ('<stream:error code="503"/>', False, Signal(K.SERVER_UNAVAILABLE, {"code": 503})),
        (
            '<stream:error code="401"><conflict type="device_removed"/></stream:error>',
            False,
            Signal(K.LOGGED_OUT, {"code": 401, "onConnect": False}),
        ),
        ('<stream:error><conflict type="replaced"/></stream:error>', False, Signal(K.REPLACED, {})),
        (
            "<stream:error><xml-not-well-formed/></stream:error>",
            False,
            Signal(K.STREAM_ERROR, {"signature": "/xml-not-well-formed"}),
        ),
        ('<iq id="1"/>', False, None),
    ],
)
def test_the_words_of_the_server_have_one_meaning_each(text: str, pairing: bool, signal: Signal | None) -> None:
    assert stanza_signals.of_stanza(stanza(text), pairing=pairing) == signal


@pytest.mark.parametrize(
    ("words", "code", "retryable"),
    [
        ("server returned error 463", "timelocked", False),
        ("server returned error 479", "rejected", False),
        ("timed out waiting for message send response", "timeout", True),
        ("websocket not connected", "not_connected", True),
        ("websocket disconnected before info query returned response", "not_connected", True),
        ("failed to refresh media connections: x", "not_connected", True),
        ("failed to prefetch sessions: dial tcp 127.0.0.1:5432: connect: connection refused", "not_connected", True),
        ("failed to save session: pq: veilleur: fenced", "not_connected", True),
        ("failed to load session: pq: terminating connection due to administrator command", "not_connected", True),
        ("no LID found for 491701234567@s.whatsapp.net from server", "rejected", False),
    ],
)
def test_errors_of_the_library_have_stable_codes_and_name_nobody(words: str, code: str, retryable: bool) -> None:
    found = translate(words)
    assert (found.code, found.retryable) == (code, retryable)
    assert "4917" not in found.detail


def test_ids_survive_a_restart_and_a_torn_last_line(tmp_path: Path) -> None:
    path = tmp_path / "s.db.sent"
    sent = SentMessages(SentFile(path))
    sent.note(SentMessage("m1", "3EB01", "1@s.whatsapp.net"))
    sent.taken("m1", 5000)
    sent.note(SentMessage("m2", "3EB02", "1@s.whatsapp.net"))
    sent.close()
    path.write_bytes(path.read_bytes() + b'{"id": "m3", "whats')
    again = SentMessages(SentFile(path))
    assert again.by_id("m1") == SentMessage("m1", "3EB01", "1@s.whatsapp.net", 5000)
    assert (again.own_id("3EB02"), again.whatsapp_id("m2")) == ("m2", "3EB02")
    assert (again.own_id("theirs"), again.whatsapp_id("theirs")) == ("theirs", "theirs")
    assert again.by_id("m3") is None


def test_the_file_of_ids_does_not_grow_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "s.db.sent"
    sent = SentMessages(SentFile(path))
    for number in range(2 * KEPT + 10):
        sent.note(SentMessage(f"m{number}", f"w{number}", "c"))
    sent.close()
    again = SentMessages(SentFile(path))
    assert len(path.read_bytes().splitlines()) == KEPT
    assert again.by_id("m0") is None
    assert again.own_id(f"w{2 * KEPT + 9}") == f"m{2 * KEPT + 9}"
    again.note(SentMessage("new", "w", "c"))
    assert SentMessages(SentFile(path)).by_id("new") is not None


def test_everything_of_a_session_is_found_when_it_is_forgotten(tmp_path: Path) -> None:
    files = DeviceFiles.of(tmp_path, "a/b.c")
    for path in (files.marks, files.sent, files.store.with_name(files.store.name + "-wal")):
        path.touch()
    other = DeviceFiles.of(tmp_path, "a/b")
    found = set(files_of("neonize", tmp_path, "a/b.c"))
    assert {files.store, files.marks, files.sent} < found
    assert other.store not in found
    assert files.store.stat().st_mode & 0o077 == 0


def test_starts_and_stops_happen_alone() -> None:
    rule = ClientTableLock(SystemClock(), look_up_s=0.1)
    rule.before_call()
    begun = time.monotonic()
    with rule.exclusive():
        assert time.monotonic() - begun >= 0.09
        call = threading.Thread(target=rule.before_call)
        call.start()
        call.join(0.05)
        assert call.is_alive()
    call.join(30)
    assert not call.is_alive()


def found(message_id: str) -> str:
    return f"Found message in local cache to accept retry receipt for 1@s.whatsapp.net/{message_id} from 2:5@s.whatsapp.net"


def sent_again(message_id: str) -> str:
    return f"Sent retry #1 for 1@s.whatsapp.net/{message_id} to 2:5@s.whatsapp.net"


async def is_held(task: asyncio.Task[object]) -> bool:
    return not (await asyncio.wait([task], timeout=0.1))[0]


@pytest.fixture
def gate(tmp_path: Path) -> ReceiptGate:
    return ReceiptGate(DecryptMarks(tmp_path / "marks"), SystemClock(), turn_s=120.0)


async def test_messages_are_sent_again_one_after_the_other(monkeypatch: pytest.MonkeyPatch, gate: ReceiptGate) -> None:
    turns = repeat_turns.RepeatTurns(gate)
    turns.line(found("3A01"))
    second = asyncio.create_task(asyncio.to_thread(turns.line, found("3A02")))
    assert await is_held(second), "the first one is not sent yet"
    turns.line(sent_again("3A03"))
    assert await is_held(second), "another one was sent"
    turns.line(sent_again("3A01"))
    await second
    # The second one never ends: the third one waits a moment only.
    monkeypatch.setattr(repeat_turns, "TURN_S", 0.05)
    await asyncio.to_thread(turns.line, found("3A04"))


async def test_a_message_is_sent_again_before_or_after_a_send_and_not_beside_it(gate: ReceiptGate) -> None:
    turns = repeat_turns.RepeatTurns(gate)
    send = gate.begin_send()
    again = asyncio.create_task(asyncio.to_thread(turns.line, found("3A01")))
    assert await is_held(again), "the frame of the send has not left yet"
    gate.end_send(send)
    await again
    after: asyncio.Task[object] = asyncio.create_task(asyncio.to_thread(gate.begin_send))
    assert await is_held(after), "the message is not sent again yet"
    turns.line(sent_again("3A01"))
    await after
    assert gate.crowded == 0

"""A device store that does not answer: nothing is acknowledged, and nothing is decrypted that another client may read."""

from __future__ import annotations

import threading

import pytest

from bot_service.engines.neonize import receipt_gate_lines
from bot_service.engines.neonize.decrypt_marks import DecryptMark
from bot_service.engines.neonize.device_store import StoreFailed
from bot_service.engines.neonize.receipt_gate import ReceiptGate
from shared.clock import SystemClock
from tests.bot_service.engines.test_neonize_receipt_gate import aside, held, released

UNREADABLE = "Error decrypting message M from 1@s.whatsapp.net: failed to load session: "


class Marks:
    """``fails``: the store does not answer."""

    def __init__(self) -> None:
        self.fails = False
        self.begun: list[str] = []

    def begin(self, mark: DecryptMark) -> None:
        if self.fails:
            raise StoreFailed("PostgreSQL does not answer")
        self.begun.append(mark.message_id)

    def done(self, mark: DecryptMark) -> None: ...

    def doubt(self, mark: DecryptMark | None) -> None: ...

    def close(self) -> None: ...


class Guarded:
    def __init__(self, *, shared: bool = True) -> None:
        self.marks, self.failures = Marks(), list[str]()
        self.fenced = threading.Event()

        def wait() -> None:
            self.fenced.wait()

        self.gate = ReceiptGate(
            self.marks, SystemClock(), store_failed=self.failures.append, wait_until_fenced=wait if shared else None
        )


def test_a_message_without_a_mark_is_not_decrypted_before_the_next_opening() -> None:
    one = Guarded()
    one.marks.fails = True
    one.gate.received("M", 1)
    decryption = aside(one.gate.before_decrypt)
    assert held(decryption)
    assert one.failures == ["PostgreSQL does not answer"]
    # Not even when the client is over: its ratchet would step without a mark.
    one.gate.release()
    assert held(decryption)
    one.fenced.set()
    assert released(decryption)


def test_a_failing_store_is_reported_once_and_holds_receipts_and_requests() -> None:
    one = Guarded()
    one.gate.received("M", 1)
    one.gate.before_decrypt()
    one.gate.received("N", 1)
    receipt_gate_lines.of_client(one.gate, f"{UNREADABLE}dial tcp 127.0.0.1:5432: connect: connection refused")
    receipt_gate_lines.of_client(one.gate, f"{UNREADABLE}pq: the database system is starting up")
    assert len(one.failures) == 1
    frames = [
        aside(receipt_gate_lines.of_frame_out, one.gate, frame)
        for frame in (
            '<receipt id="M" to="1@s.whatsapp.net" type="retry"/>',
            '<ack class="message" id="M" to="1@s.whatsapp.net"/>',
            '<receipt id="M" to="1@s.whatsapp.net"/>',
        )
    ]
    assert all(map(held, frames))
    one.gate.release()
    assert all(map(released, frames))
    assert one.marks.begun == ["M"]


@pytest.mark.parametrize(
    ("shared", "why"),
    [
        (True, "no valid sessions: mismatching MAC in signal message"),
        (True, "proto: cannot parse invalid wire-format data: unexpected EOF"),
        (False, "pq: the database system is starting up"),
    ],
)
def test_what_is_unreadable_for_another_reason_is_requested_again(shared: bool, why: str) -> None:
    one = Guarded(shared=shared)
    one.gate.received("M", 1)
    one.gate.before_decrypt()
    receipt_gate_lines.of_client(one.gate, UNREADABLE + why)
    request = aside(receipt_gate_lines.of_frame_out, one.gate, '<receipt id="M" to="1@s.whatsapp.net" type="retry"/>')
    assert released(request)
    assert one.failures == []

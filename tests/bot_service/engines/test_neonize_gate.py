"""No receipt leaves before its message is finished, one message at a time, and every wait ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bot_service.engines.neonize.gate import ReceiptGate
from bot_service.engines.neonize.marks import Mark, Marks
from shared.clock import SystemClock


def gate(tmp_path: Path, *, hold_s: float = 5.0) -> tuple[ReceiptGate, Marks]:
    marks = Marks(tmp_path / "marks")
    return ReceiptGate(marks, SystemClock(), hold_s=hold_s, rest_s=0.05), marks


def aside(deed: Callable[..., None], *args: object) -> threading.Thread:
    thread = threading.Thread(target=deed, args=args, daemon=True)
    thread.start()
    return thread


def held(thread: threading.Thread) -> bool:
    thread.join(0.1)
    return thread.is_alive()


def released(thread: threading.Thread) -> bool:
    thread.join(3)
    return not thread.is_alive()


def test_a_receipt_waits_for_its_message(tmp_path: Path) -> None:
    door, marks = gate(tmp_path)
    door.received("A", 1)
    door.before_decrypt()
    assert marks.unfinished() is not None
    receipt = aside(door.before_receipt, ["A"])
    assert held(receipt)
    assert not door.is_idle
    door.part_handled("A")
    assert released(receipt)
    assert door.is_idle
    assert marks.unfinished() is None


def test_the_next_message_is_decrypted_only_when_the_one_before_is_finished(tmp_path: Path) -> None:
    door, marks = gate(tmp_path)
    door.received("A", 1)
    door.received("B", 1)
    door.before_decrypt()
    second = aside(door.before_decrypt)
    assert held(second)
    door.part_handled("A")
    assert released(second)
    unfinished = marks.unfinished()
    assert unfinished is not None
    assert unfinished.message_id == "B"


def test_a_message_of_two_parts_is_finished_with_the_second(tmp_path: Path) -> None:
    door, _ = gate(tmp_path)
    door.received("A", 2)
    door.before_decrypt()
    receipt = aside(door.before_receipt, ["A"])
    door.part_handled("A")
    door.part_handled("A")
    assert released(receipt)


def test_a_second_part_that_never_comes_holds_nothing_up(tmp_path: Path) -> None:
    door, marks = gate(tmp_path)
    door.received("A", 2)
    door.before_decrypt()
    door.part_handled("A")
    assert released(aside(door.before_receipt, ["A"]))
    assert door.overdue == 0
    assert marks.unfinished() is None


def test_a_wait_that_runs_out_is_counted_and_the_message_stays_unfinished_on_disk(tmp_path: Path) -> None:
    door, marks = gate(tmp_path, hold_s=0.1)
    door.received("A", 1)
    door.before_decrypt()
    door.before_receipt(["A"])
    assert door.overdue == 1
    assert marks.unfinished() is not None
    door.part_handled("A")
    assert marks.unfinished() is None


def test_messages_that_are_decrypted_in_another_order_are_still_held_one_by_one(tmp_path: Path) -> None:
    door, marks = gate(tmp_path)
    door.received("A", 1)
    door.received("B", 1)
    door.before_decrypt()
    first_of_a = aside(door.before_receipt, ["A"])
    door.part_handled("B")
    assert held(first_of_a)
    assert marks.unfinished() is None
    door.before_decrypt()
    door.part_handled("A")
    assert released(first_of_a)


def test_receipts_of_unknown_messages_pass(tmp_path: Path) -> None:
    door, _ = gate(tmp_path)
    begun = time.monotonic()
    door.before_receipt(["never seen"])
    door.part_handled("never seen")
    assert time.monotonic() - begun < 0.1


def test_a_message_that_cannot_be_journalled_is_held_until_the_client_is_over(tmp_path: Path) -> None:
    door, marks = gate(tmp_path, hold_s=0.1)
    door.received("A", 1)
    door.before_decrypt()
    door.journal_failed()
    receipt = aside(door.before_receipt, ["A"])
    receipt.join(0.4)
    assert receipt.is_alive()
    door.let_go()
    assert released(receipt)
    assert marks.unfinished() is not None


def test_a_new_connection_forgets_what_was_not_begun(tmp_path: Path) -> None:
    door, _ = gate(tmp_path)
    door.received("A", 1)
    door.before_decrypt()
    door.received("B", 1)
    door.new_connection()
    receipt = aside(door.before_receipt, ["A"])
    assert held(receipt)
    assert released(aside(door.before_receipt, ["B"]))
    door.part_handled("A")
    assert released(receipt)


@pytest.mark.parametrize(
    ("begun", "done", "left"),
    [(None, None, None), ("A", None, "A"), ("A", "A", None), ("B", "A", "B")],
)
def test_marks_name_the_unfinished_message_after_a_kill(
    tmp_path: Path, begun: str | None, done: str | None, left: str | None
) -> None:
    marks = Marks(tmp_path / "marks")
    if begun:
        marks.begin(Mark(begun, 1000))
    if done:
        marks.done(Mark(done, 1001))
    marks.close()
    found = Marks(tmp_path / "marks").unfinished()
    assert (found.message_id if found else None) == left

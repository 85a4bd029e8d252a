"""No receipt leaves before its message is finished, one message at a time, and every wait ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bot_service.engines.neonize.decrypt_marks import DecryptMark, DecryptMarks
from bot_service.engines.neonize.receipt_gate import BACK_PRESSURE_S, MAX_WAITING, ReceiptGate
from shared.clock import SystemClock

RELEASED_WITHIN_S = 30.0


def gate(tmp_path: Path, *, hold_s: float = 120.0, turn_s: float = 120.0) -> tuple[ReceiptGate, DecryptMarks]:
    # Nothing is let go by these limits before ``released`` gives up.
    marks = DecryptMarks(tmp_path / "marks")
    return ReceiptGate(marks, SystemClock(), hold_s=hold_s, rest_s=0.05, turn_s=turn_s), marks


def aside(deed: Callable[..., object], *args: object) -> threading.Thread:
    thread = threading.Thread(target=deed, args=args, daemon=True)
    thread.start()
    return thread


def held(thread: threading.Thread) -> bool:
    thread.join(0.1)
    return thread.is_alive()


def released(thread: threading.Thread) -> bool:
    thread.join(RELEASED_WITHIN_S)
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
    assert marks.doubtful() is not None
    door.part_handled("A")
    assert marks.unfinished() is None
    assert marks.doubtful() is None


def test_a_message_whose_end_was_not_seen_stays_named_when_the_next_one_begins(tmp_path: Path) -> None:
    door, marks = gate(tmp_path, hold_s=0.1)
    door.received("A", 1)
    door.received("B", 1)
    door.before_decrypt()
    door.before_decrypt()
    door.part_handled("B")
    assert marks.unfinished() is None
    doubtful = marks.doubtful()
    assert doubtful is not None
    assert doubtful.message_id == "A"


def test_a_message_that_is_being_read_is_waited_for(tmp_path: Path) -> None:
    door, _ = gate(tmp_path, hold_s=0.1)
    door.received("A", 1)
    door.before_decrypt()
    door.reading("A")
    receipt = aside(door.before_receipt, ["A"])
    receipt.join(0.4)
    assert receipt.is_alive()
    door.part_handled("A")
    assert released(receipt)
    assert door.overdue == 0


def test_a_message_that_was_not_seen_to_come_is_marked_without_its_name(tmp_path: Path) -> None:
    door, marks = gate(tmp_path)
    door.before_decrypt()
    assert marks.unfinished() is not None
    door.part_handled("A")
    assert marks.unfinished() is None


def test_what_the_library_passes_over_is_finished(tmp_path: Path) -> None:
    door, marks = gate(tmp_path)
    door.received("A", 1)
    door.before_decrypt()
    door.passed_over()
    assert door.is_idle
    assert marks.unfinished() is None


def test_after_a_part_that_cannot_be_read_no_other_is_waited_for(tmp_path: Path) -> None:
    door, _ = gate(tmp_path)
    door.received("A", 2)
    door.before_decrypt()
    door.part_handled("A", last=True)
    assert door.is_idle


def test_a_send_waits_for_the_message_that_is_being_decrypted(tmp_path: Path) -> None:
    door, _ = gate(tmp_path)
    door.received("A", 1)
    door.before_decrypt()
    send = aside(door.begin_send)
    assert held(send)
    door.part_handled("A")
    assert released(send)
    assert door.crowded == 0


def test_a_message_is_not_begun_while_a_send_is_under_way(tmp_path: Path) -> None:
    door, marks = gate(tmp_path)
    turn = door.begin_send()
    door.received("A", 1)
    decryption = aside(door.before_decrypt)
    assert held(decryption)
    assert marks.unfinished() is None
    door.end_send(turn)
    assert released(decryption)
    assert marks.unfinished() is not None
    assert door.crowded == 0


def test_sends_and_messages_take_turns_when_both_wait(tmp_path: Path) -> None:
    door, _ = gate(tmp_path)
    order: list[str] = []

    def send(name: str) -> None:
        turn = door.begin_send()
        order.append(name)
        time.sleep(0.02)
        door.end_send(turn)

    def decrypt() -> None:
        for message_id in ("A", "B"):
            door.before_decrypt()
            order.append(message_id)
            door.part_handled(message_id)

    first = door.begin_send()
    door.received("A", 1)
    door.received("B", 1)
    decryptions = aside(decrypt)
    assert held(decryptions)
    sends = [aside(send, "one"), aside(send, "two")]
    assert held(sends[0])
    door.end_send(first)
    assert all(released(thread) for thread in (decryptions, *sends))
    assert order[0] == "A"
    assert order[1] in ("one", "two")
    assert order[2] == "B"
    assert door.crowded == 0


def test_turns_end_although_nobody_ends_them(tmp_path: Path) -> None:
    door, _ = gate(tmp_path, turn_s=0.1)
    stuck = door.begin_send()
    door.received("A", 1)
    assert released(aside(door.before_decrypt))
    assert door.crowded == 1
    assert released(aside(door.begin_send))
    assert door.crowded == 2
    door.end_send(stuck)
    door.part_handled("A")
    assert released(aside(door.begin_send))
    assert door.crowded == 2


def test_a_send_that_never_ends_costs_the_next_one_its_wait_and_no_more(tmp_path: Path) -> None:
    door, _ = gate(tmp_path, turn_s=0.1)
    stuck = door.begin_send()
    following = door.begin_send()
    assert door.crowded == 1
    door.end_send(stuck)
    third = aside(door.begin_send)
    door.end_send(following)
    assert released(third)


def test_a_flood_is_not_held_back_while_a_send_waits_for_answers_behind_it(tmp_path: Path) -> None:
    door, _ = gate(tmp_path)
    door.begin_send()

    def flood() -> None:
        for number in range(MAX_WAITING + 60):
            door.received(f"m{number}", 1)

    # Held back, each message beyond the limit would take all of BACK_PRESSURE_S.
    assert BACK_PRESSURE_S * 60 > RELEASED_WITHIN_S
    assert released(aside(flood))


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


def test_a_message_that_comes_again_before_its_first_try_is_over_mixes_nothing_up(tmp_path: Path) -> None:
    door, marks = gate(tmp_path)
    door.received("A", 1)
    door.received("B", 1)
    door.before_decrypt()
    door.received("A", 1)  # it could not be read, and the sender was fast
    door.part_handled("A", last=True)
    for message_id in ("B", "A"):
        door.before_decrypt()
        unfinished = marks.unfinished()
        assert unfinished is not None
        assert unfinished.message_id == message_id
        receipt = aside(door.before_receipt, [message_id])
        assert held(receipt)
        door.part_handled(message_id)
        assert released(receipt)
    assert door.overdue == 0
    assert door.is_idle


def test_what_nobody_could_read_is_acknowledged_after_it_was_asked_for_again(tmp_path: Path) -> None:
    door, _ = gate(tmp_path)
    door.before_ack("of no interest")
    door.unreadable("A")
    ack = aside(door.before_ack, "A")
    assert held(ack)
    door.asked_again("A")
    assert released(ack)
    assert released(aside(door.before_ack, "A"))


def test_receipts_of_unknown_messages_pass(tmp_path: Path) -> None:
    door, _ = gate(tmp_path)
    assert released(aside(door.before_receipt, ["never seen"]))
    assert released(aside(door.part_handled, "never seen"))


def test_a_message_that_cannot_be_journalled_is_held_until_the_client_is_over(tmp_path: Path) -> None:
    door, marks = gate(tmp_path, hold_s=0.1)
    door.received("A", 1)
    door.before_decrypt()
    door.journal_failed()
    receipt = aside(door.before_receipt, ["A"])
    receipt.join(0.4)
    assert receipt.is_alive()
    door.release()
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
    [
        (None, None, None),
        (DecryptMark("A", 1000), None, "A"),
        (DecryptMark("A", 1000), DecryptMark("A", 1000), None),
        (DecryptMark("A", 1000), DecryptMark("A", 1001), None),
        (DecryptMark("B", 1000), DecryptMark("A", 1001), "B"),
        (
            DecryptMark("A", 2000),
            DecryptMark("A", 1001),
            "A",
        ),  # it came again after it was undone, and the process was killed again
    ],
)
def test_marks_name_the_unfinished_message_after_a_kill(
    tmp_path: Path, begun: DecryptMark | None, done: DecryptMark | None, left: str | None
) -> None:
    marks = DecryptMarks(tmp_path / "marks")
    if begun:
        marks.begin(begun)
    if done:
        marks.done(done)
    marks.close()
    found = DecryptMarks(tmp_path / "marks").unfinished()
    assert (found.message_id if found else None) == left

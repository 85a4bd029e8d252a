"""Frames survive any way their bytes are cut, and rubbish ends a connection instead of growing it."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot_service.engines.wire.frames import FrameDecoder, FrameError, encode
from bot_service.engines.wire.protocol import (
    MAX_FRAME_BYTES,
    CommandFrame,
    Down,
    Hello,
    JournalAdvanced,
    LogLines,
    Reply,
    SignalFrame,
    Up,
    WorkerPulse,
)

UP = [
    Reply(1, {"id": "m"}),
    Reply(2, error="timeout", detail="late", retryable=True),
    SignalFrame("s1", 7, 1, "qr", 1_700_000_000_000, {"code": "x" * 300}),
    JournalAdvanced("w-1.journal", 2**40),
    WorkerPulse(1, 2, 3, 4, 5, {"s1": (None, 3)}),
    LogLines([("2026-11-28T09:12:44.310000Z", "warning", "engine.media", "s1", "{}")]),
]


@given(st.lists(st.integers(1, 50), max_size=60))
def test_frames_come_back_whole_however_they_are_cut(cuts: list[int]) -> None:
    data = b"".join(encode(frame) for frame in UP)
    decoder: FrameDecoder[Up] = FrameDecoder(Up)
    found: list[Up] = []
    at = 0
    for cut in [*cuts, len(data)]:
        found += decoder.feed(data[at : at + cut])
        at += cut
    assert found == UP


def test_each_side_reads_only_what_is_meant_for_it() -> None:
    assert FrameDecoder(Down).feed(encode(Hello("b")) + encode(CommandFrame(1, "stop", "s1"))) == [
        Hello("b"),
        CommandFrame(1, "stop", "s1"),
    ]
    with pytest.raises(FrameError):
        FrameDecoder(Down).feed(encode(UP[0]))


def test_a_frame_that_claims_too_much_is_refused_at_once() -> None:
    with pytest.raises(FrameError, match="claims"):
        FrameDecoder(Up).feed((MAX_FRAME_BYTES + 1).to_bytes(4, "big"))
    with pytest.raises(FrameError, match="longer"):
        encode(Reply(1, "x" * (MAX_FRAME_BYTES + 1)))


@given(st.binary(max_size=300))
def test_rubbish_is_refused_or_waits_for_more(rubbish: bytes) -> None:
    with suppress(FrameError):
        assert FrameDecoder(Up).feed(rubbish) == []

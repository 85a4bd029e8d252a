"""``Retry-After`` of any server: a wait of at most an hour, or nothing."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.retry import RETRY_AFTER_CAP_S, retry_after_s

NOW = datetime(2026, 11, 29, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("0", 0.0),
        ("7", 7.0),
        ("1.5", 1.5),
        (" 30 ", 30.0),
        ("9999999999", RETRY_AFTER_CAP_S),
        ("Sun, 29 Nov 2026 12:00:10 GMT", 10.0),
        ("Sun, 29 Nov 2026 12:00:10", 10.0),
        ("Sun, 29 Nov 2026 13:00:10 +0100", 10.0),
        ("Sun, 29 Nov 2020 12:00:10 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", RETRY_AFTER_CAP_S),
    ],
)
def test_a_number_or_a_date_is_a_wait(value: str, wait: float) -> None:
    assert retry_after_s(value, NOW) == wait


@pytest.mark.parametrize(
    "value",
    [
        None, "", " ", "-1", "-0.5", "+5", "nan", "inf", "1e5", "9" * 400, "0x10", "1_0", "٣٠", "１２", "5 s", "5, 6",
        "soon", "Sun, 31 Feb 2026 12:00:00 GMT", "Sun, 29 Nov 99999 12:00:00 GMT", "Sun, 29 Nov 2026 25:61:61 GMT",
        "Sun, 29 Nov 2026 12:00:00 +99999999", "29 Nov -2026 12:00:00", "a" * 65, "\udcff", "\udcff12", "\x00", ",,,",
    ],
)  # fmt: skip
def test_what_is_unusable_counts_as_absent(value: str | None) -> None:
    assert retry_after_s(value, NOW) is None


@given(st.text(max_size=80) | st.binary(max_size=60).map(lambda raw: raw.decode("utf-8", "surrogateescape")))
def test_any_text_is_a_bounded_wait_or_nothing(value: str) -> None:
    wait = retry_after_s(value, NOW)
    assert wait is None or 0 <= wait <= RETRY_AFTER_CAP_S

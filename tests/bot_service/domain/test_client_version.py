"""Which builds may be announced, how old one is, and what of a page is believed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot_service.domain.client_version import (
    HIGHEST_BUILD,
    LOWEST_BUILD,
    Mode,
    Rejection,
    Setting,
    Source,
    Versions,
    age_days,
    estimated_build,
    parse_setting,
    published_build,
)

NOW = datetime(2026, 11, 28, tzinfo=UTC)
BUILTIN = 1_047_769_893


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ("auto", Setting(Mode.AUTO)),
        (" Auto ", Setting(Mode.AUTO)),
        ("builtin", Setting(Mode.BUILTIN)),
        ("2.3000.1052000000", Setting(Mode.MANUAL, 1_052_000_000)),
    ],
)
def test_a_setting_is_read_as_people_write_it(text: str, setting: Setting) -> None:
    assert parse_setting(text) == setting


@pytest.mark.parametrize(
    "text",
    ["", "newest", "2.3000", "2.3000.", "2.3000.x", "1052000000", "2.2412.1052000000", "2.3000.5", "2.3000.9999999999",
     "2.3000.10520000001", "2.3000.-1052000000", "2.3000.1052000000.1", "2.3000.１０５２００００００"],
)  # fmt: skip
def test_any_other_setting_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_setting(text)


@pytest.mark.parametrize(
    ("build", "day"),
    [
        (1_041_898_753, datetime(2026, 6, 22, tzinfo=UTC)),
        (1_045_818_043, datetime(2026, 8, 22, tzinfo=UTC)),
        (BUILTIN, datetime(2026, 9, 21, tzinfo=UTC)),
    ],
)
def test_the_age_follows_from_the_number(build: int, day: datetime) -> None:
    assert age_days(build, day) == pytest.approx(0, abs=1)
    assert age_days(build, day + timedelta(days=45)) == pytest.approx(45, abs=1)
    assert age_days(build, day - timedelta(days=90)) == 0


@pytest.mark.parametrize(
    "page",
    [
        '<script>{"server_revision":1,"client_revision":1052000000,"push_phase":"C3"}</script>',
        r"self.x=JSON.parse('{\"client_revision\":1052000000,\"x\":1}')",
        '"client_revision" : 1052000000 }',
        '"client_revision":"1052000000"',
    ],
)
def test_the_published_build_is_found_in_html_and_in_javascript(page: str) -> None:
    assert published_build(page, builtin=BUILTIN, now=NOW) == 1_052_000_000


@pytest.mark.parametrize(
    ("page", "rejection"),
    [
        ("", Rejection.NOT_FOUND),
        ("<html>Update your browser</html>", Rejection.NOT_FOUND),
        ('"client_revision":null', Rejection.NOT_A_NUMBER),
        ('"client_revision":10.5e8,', Rejection.NOT_A_NUMBER),
        ('"client_revision":"abc"', Rejection.NOT_A_NUMBER),
        ('"client_revision":' + "9" * 400, Rejection.NOT_A_NUMBER),
        ('"client_revision":-1052000000,', Rejection.NOT_A_NUMBER),
        (f'"client_revision":{BUILTIN - 1},', Rejection.OLDER_THAN_BUILTIN),
        ('"client_revision":0,', Rejection.OLDER_THAN_BUILTIN),
        (f'"client_revision":{estimated_build(NOW + timedelta(days=121))},', Rejection.TOO_FAR_AHEAD),
        ('"client_revision":4294967295,', Rejection.TOO_FAR_AHEAD),
    ],
)
def test_a_value_that_cannot_be_right_is_rejected_with_a_reason(page: str, rejection: Rejection) -> None:
    assert published_build(page, builtin=BUILTIN, now=NOW) is rejection


@given(st.text(max_size=300))
def test_no_page_raises(page: str) -> None:
    for text in (page, f'"client_revision":{page}', rf"\"client_revision\":{page}"):
        found = published_build(text, builtin=BUILTIN, now=NOW)
        assert isinstance(found, Rejection) or LOWEST_BUILD <= found <= HIGHEST_BUILD


def test_the_newest_build_that_is_not_refused_is_announced() -> None:
    auto = Versions(Setting(), BUILTIN)
    assert (auto.best, auto.usable) == (BUILTIN, (BUILTIN,))
    newer = Versions(Setting(), BUILTIN, published=BUILTIN + 9)
    assert (newer.best, newer.usable) == (BUILTIN + 9, (BUILTIN + 9, BUILTIN))
    assert Versions(Setting(), BUILTIN, BUILTIN + 9, frozenset({BUILTIN + 9})).best == BUILTIN
    assert Versions(Setting(), BUILTIN, BUILTIN + 9, frozenset({BUILTIN, BUILTIN + 9})).best == BUILTIN + 9


def test_a_person_who_chose_a_version_gets_exactly_that_one() -> None:
    builtin = Versions(Setting(Mode.BUILTIN), BUILTIN, published=BUILTIN + 9)
    assert builtin.usable == (BUILTIN,)
    manual = Versions(Setting(Mode.MANUAL, BUILTIN + 5), BUILTIN, published=BUILTIN + 9)
    assert manual.usable == (BUILTIN + 5,)
    assert (manual.source(BUILTIN + 5), manual.source(BUILTIN)) == (Source.MANUAL, Source.BUILTIN)
    assert Versions(Setting(), BUILTIN, BUILTIN + 9).source(BUILTIN + 9) is Source.PUBLISHED

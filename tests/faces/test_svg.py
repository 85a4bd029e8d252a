"""Bars and curves are whole without script, escaped, and show a gap as a gap."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from shared.web.ui.svg import Bar, Series, bars, curve, round_up


def test_every_bar_has_its_title_and_the_picture_its_sentence() -> None:
    made = bars([Bar("up", 1.0, "Monday: <100%>"), Bar("gap", 0.0, "no data")], label='90 days, "fine"')
    root = ElementTree.fromstring(made)
    assert root.get("aria-label") == '90 days, "fine"'
    assert [each[0].text for each in root] == ["Monday: <100%>", "no data"]
    assert "style" not in made


def test_a_line_is_broken_where_nothing_was_measured() -> None:
    made = curve(
        [Series("p50", [(0, 10.0), (1, 20.0), (2, None), (3, 15.0)])], x_from=0, x_until=3, y_max=20, label="latency"
    )
    path = ElementTree.fromstring(made).findall("path")[0].get("d") or ""
    assert path.count("M") == 2


def test_pictures_of_nothing_are_still_pictures() -> None:
    assert ElementTree.fromstring(bars([], label="none")).tag == "svg"
    empty = curve([Series("p50", [])], x_from=0, x_until=0, y_max=0, label="none")
    assert ElementTree.fromstring(empty).findall("path") == []


@pytest.mark.parametrize(("value", "end"), [(0, 1), (3, 5), (45, 50), (51, 100), (101, 200), (0.05, 0.1), (999, 1000)])
def test_an_axis_ends_at_a_round_number(value: float, end: float) -> None:
    assert round_up(value) == pytest.approx(end)

"""Whatever colour is given, text in it can be read by day and by night."""

from __future__ import annotations

import re

import pytest

from tests.support.processes import ROOT
from watchdog.status import accent
from watchdog.status.accent import DAY, LEAST, NIGHT, contrast, parsed, readable, style_sheet

GIVEN = ["#000000", "#ffffff", "#ffff00", "#777777", "#0000ff", "#00ff88", "#e91e63", "#1a7f5a", "#FA8072"]


def test_contrast_is_that_of_wcag() -> None:
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    assert contrast((255, 0, 0), (255, 255, 255)) == pytest.approx(3.998, abs=0.001)


@pytest.mark.parametrize("given", GIVEN)
def test_links_and_buttons_have_enough_contrast_by_day_and_by_night(given: str) -> None:
    found = re.findall(r"--accent:(#\w{6});--focus:(#\w{6});--accent-ink:(#\w{6})", style_sheet(given))
    assert len(found) == 3
    for (colour, focus, ink), behind in zip(found, (DAY, NIGHT, NIGHT), strict=True):
        assert focus == colour
        assert all(contrast(parsed(colour), each) >= LEAST for each in behind)
        assert contrast(parsed(ink), parsed(colour)) >= LEAST


def test_a_colour_that_can_be_read_stays_as_it_was_given() -> None:
    assert readable(parsed("#1a4f8a"), DAY, (0, 0, 0)) == parsed("#1a4f8a")


def test_the_colours_behind_text_are_those_of_the_style_sheet() -> None:
    sheet = (ROOT / "shared/web/ui/static/base.css").read_text(encoding="utf-8")
    for names, theme in ((DAY, ":root {"), (NIGHT, ':root[data-theme="dark"] {')):
        block = sheet.partition(theme)[2].partition("}")[0]
        of_sheet = [re.findall(rf"--{name}: (#\w{{6}})", block)[0] for name in ("paper", "raised", "sunk")]
        assert [parsed(each) for each in of_sheet] == list(names)
    assert accent.LEAST == 4.5

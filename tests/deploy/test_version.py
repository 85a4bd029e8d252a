"""The version is the same in the code, the package, the images and the changelog."""

from __future__ import annotations

import re

import pytest

from shared.version import VERSION, installed_version
from tests.support.processes import ROOT


def test_the_programs_report_the_version_without_an_installation() -> None:
    assert installed_version() == VERSION


@pytest.mark.parametrize("name", ["Dockerfile.bot", "Dockerfile.watchdog"])
def test_the_label_of_each_image_has_the_version(name: str) -> None:
    assert re.findall(r"^ARG VERSION=(.+)$", (ROOT / name).read_text(encoding="utf-8"), re.M) == [VERSION]


def test_the_newest_version_of_the_changelog_is_this_one() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## \[([^\]]+)\](?: - (\d{4}-\d{2}-\d{2}))?$", text, re.M)
    assert headings[0] == ("Unreleased", "")
    assert headings[1][0] == VERSION
    dates = [date for _, date in headings[1:]]
    assert dates == sorted(dates, reverse=True)
    assert all(dates)

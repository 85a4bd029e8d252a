"""The pages of the project agree with the code about settings, files, modules and commands."""

from __future__ import annotations

import dataclasses
import re
from xml.etree import ElementTree

import pytest

from bot_service.settings import BotSettings
from shared.settings import load
from shared.tools.dotenv import read_dotenv
from tests.deploy import architecture_picture, cli_document, documents
from tests.support.processes import ROOT
from watchdog.settings import WatchdogSettings

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
LINKED = sorted([*PAGES, ROOT / "CHANGELOG.md", ROOT / "SECURITY.md", *(ROOT / "docs").glob("*/*.md")])


def test_env_example_has_every_variable_with_its_default() -> None:
    assert documents.ENV_EXAMPLE.read_text(encoding="utf-8") == documents.env_example(), "run make docs"


def test_the_configuration_page_has_every_variable_with_its_default() -> None:
    text = documents.CONFIGURATION.read_text(encoding="utf-8")
    assert text == documents.configuration(text), "run make docs"


def test_the_page_of_the_command_line_has_every_command_and_what_it_prints() -> None:
    assert cli_document.CLI.read_text(encoding="utf-8") == cli_document.document(), "run make docs"


def test_the_picture_is_the_one_that_the_code_draws() -> None:
    drawn = architecture_picture.picture()
    assert architecture_picture.FILE.read_text(encoding="utf-8") == drawn, "run make docs"
    assert ElementTree.fromstring(drawn).tag.endswith("}svg")


@pytest.mark.parametrize("box", architecture_picture.BOXES, ids=lambda box: box.title)
def test_every_text_of_the_picture_fits_into_its_box(box: architecture_picture.Box) -> None:
    # A letter of this size is about 6.5 pixels wide.
    assert max(len(line) for line in (box.title, *box.lines)) * 6.5 <= box.width + 8
    assert 44 + 17 * len(box.lines) <= box.height + 12


def test_the_readme_comes_to_the_start_within_one_screen() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert lines.index("## Start") <= 25


def test_the_index_names_every_guide() -> None:
    text = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    guides = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md", "RELEASE.md"}
    assert {name for name in guides if f"({name}" not in text} == set()


def test_a_copy_of_env_example_changes_nothing(tmp_path: object) -> None:
    assert read_dotenv(documents.ENV_EXAMPLE) == {}


def test_every_default_of_env_example_is_accepted_as_it_stands() -> None:
    lines = re.findall(r"^#([A-Z_]+)=(.+)$", documents.ENV_EXAMPLE.read_text(encoding="utf-8"), re.M)
    environ = dict(lines)
    assert len(environ) > 30
    assert load(BotSettings, environ) == load(BotSettings, {})
    given, default = load(WatchdogSettings, {**environ, "PORT": "3001"}), load(WatchdogSettings, {})
    # Written out, these two say what their absence means.
    assert (given.bot_url, given.remediation) == ("http://127.0.0.1:3000", ("none",))
    assert dataclasses.replace(given, bot_url=default.bot_url, remediation=default.remediation) == default


@pytest.mark.parametrize("page", LINKED, ids=lambda path: path.name)
def test_every_link_to_a_file_or_a_heading_leads_somewhere(page) -> None:  # type: ignore[no-untyped-def]
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in _anchors(file.read_text(encoding="utf-8")), f"{page.name}: {target}"


def _anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_module_that_a_page_names_exists(page) -> None:  # type: ignore[no-untyped-def]
    """Decisions may name modules of their time; the other pages describe the code as it is."""
    below = [ROOT, ROOT / "bot_service", ROOT / "watchdog"]
    named = re.findall(r"`([a-z_]+(?:/[a-z_0-9]+)+\.py)(?::\w+)?`", page.read_text(encoding="utf-8"))
    assert [path for path in named if not any((folder / path).exists() for folder in below)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_make_target_that_a_page_names_exists(page) -> None:  # type: ignore[no-untyped-def]
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    named = set(re.findall(r"(?:`|^)make ([a-z][a-z-]+)", page.read_text(encoding="utf-8"), re.M))
    assert named - targets == set()

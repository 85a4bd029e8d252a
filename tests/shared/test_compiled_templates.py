"""Compiled templates are kept beside the program, and one that cannot be kept or read is compiled again."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import jinja2
import pytest

from shared.web.ui.template_environment import CompiledTemplates


def rendered(folder: Path) -> str:
    """By a program that starts now."""
    loader = jinja2.FileSystemLoader(folder)
    return (
        jinja2.Environment(loader=loader, bytecode_cache=CompiledTemplates(folder), autoescape=True)
        .get_template("page.html")
        .render()
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "page.html").write_text("{{ 1 + 1 }} pages")
    return tmp_path


def kept(folder: Path) -> list[Path]:
    return list((folder / "__pycache__").iterdir())


def test_the_second_start_compiles_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert rendered(folder) == "2 pages"
    (file,) = kept(folder)
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    monkeypatch.setattr(jinja2.Environment, "compile", None)
    monkeypatch.setattr(jinja2.Environment, "_generate", None)
    loader = jinja2.FileSystemLoader(folder)
    environment = jinja2.Environment(loader=loader, bytecode_cache=CompiledTemplates(folder), autoescape=True)
    assert loader.load(environment, "page.html").render() == "2 pages"


def test_a_changed_template_is_compiled_again(folder: Path) -> None:
    rendered(folder)
    (folder / "page.html").write_text("{{ 1 + 2 }} pages")
    assert rendered(folder) == "3 pages"
    assert rendered(folder) == "3 pages"


@pytest.mark.parametrize("damage", [b"", b"\x00" * 2000, b"no code"])
def test_a_damaged_file_is_replaced(folder: Path, damage: bytes) -> None:
    rendered(folder)
    (file,) = kept(folder)
    whole = file.read_bytes()
    for text in (damage, whole[: len(whole) // 2]):
        file.write_bytes(text)
        assert rendered(folder) == "2 pages"
        assert file.read_bytes() == whole


def test_where_nothing_can_be_kept_pages_are_shown_all_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert rendered(folder) == "2 pages"
    assert kept(folder) == []
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    (folder / "__pycache__").rmdir()
    assert rendered(folder) == "2 pages"
    assert rendered(folder) == "2 pages"

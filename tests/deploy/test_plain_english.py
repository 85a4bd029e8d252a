"""The check for plain English finds whole words in any case, and leaves real uses alone."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.processes import ROOT


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("plain_english", ROOT / ".ci" / "plain_english.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


check = load()


@pytest.mark.parametrize("word", sorted(check.INSTEAD))
def test_every_listed_word_is_found_with_its_line(word: str) -> None:
    text = f"A first line.\nHere {word} stands, and {word.capitalize()} too.\n"
    assert [tuple(finding) for finding in check.findings(text)] == [(2, word), (2, word)]


@pytest.mark.parametrize("text", ["test_it_is_told_once", "farmhands", "rungs", "user_nobody", "wishlist", "retold"])
def test_a_part_of_a_longer_word_is_not_found(text: str) -> None:
    assert list(check.findings(text)) == []


@pytest.mark.parametrize(
    "text", ['"acts": "nobody"', "acts: nobody", 'NOBODY = "nobody"', "actor=Actor.NOBODY", "| `nobody` |"]
)
def test_the_value_of_the_api_is_allowed(text: str) -> None:
    assert list(check.findings(text)) == []


def test_an_allowed_phrase_covers_only_itself() -> None:
    assert [finding.word for finding in check.findings("acts: nobody, and nobody was told")] == ["nobody", "told"]


def test_every_allowed_phrase_has_a_reason_and_contains_a_listed_word() -> None:
    for allowed in check.ALLOWED:
        assert len(allowed.reason) > 10
        assert any(word in allowed.phrase.lower() for word in check.INSTEAD)


def test_findings_are_printed_with_file_line_and_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text("Fine.\nThe caller is told.\n", encoding="utf-8")
    monkeypatch.setattr(check, "ROOT", tmp_path)
    monkeypatch.setattr(check, "tracked", lambda: iter([page]))
    assert check.main() == 1
    assert capsys.readouterr().out.startswith('page.md:2: "told": write instead: notified, reported, alerted\n')


def test_text_without_findings_ends_with_exit_code_0(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text("The caller is notified.\n", encoding="utf-8")
    monkeypatch.setattr(check, "tracked", lambda: iter([page]))
    assert check.main() == 0
    assert capsys.readouterr().out == ""


def test_the_documents_are_plain() -> None:
    pages = [path for path in check.tracked() if path.suffix == ".md"]
    assert len(pages) > 50
    assert {
        path.name: found for path in pages if (found := list(check.findings(path.read_text(encoding="utf-8"))))
    } == {}

"""The translators' files are complete and compiled; `make lint` checks that they hold the texts of the code."""

from __future__ import annotations

import ast
import io
import re
from collections.abc import Iterator

import pytest
from babel.messages import mofile

from bot_service.dashboard import wording
from bot_service.domain.client_version import Source
from bot_service.domain.readiness import Suspicion
from bot_service.domain.reasons import Reason
from bot_service.domain.states import State
from bot_service.webhooks.health import HealthState
from shared import network_errors, reason_words
from shared.translation import languages
from shared.web.ui.words import MONTHS, NAME, NUMBER, UNITS
from tests.support.catalogues import FOLDERS, TRANSLATED, catalogue, texts, words
from tests.support.processes import ROOT
from watchdog.domain import health, incidents
from watchdog.domain.alert import Why
from watchdog.domain.states import IncidentKind, NoticeKind
from watchdog.domain.states import State as TargetState
from watchdog.status import wording as status_wording

NAMES = re.compile(r"\{\w+\}")
MARKUP = re.compile(r"<[^>]*>|&\w+;")
# The comment of a text that is the same in both languages: "# same as English" above it in messages.po.
SAME = "same as English"
EVERY = pytest.mark.parametrize(("folder", "language"), [(each, one) for each in FOLDERS for one in TRANSLATED])


def entries(folder: str, language: str) -> Iterator[tuple[tuple[str, ...], tuple[str, ...], list[str]]]:
    """The English texts, the translated ones and the translator's comments of every entry."""
    for message in catalogue(folder, language):
        if message.id:
            assert not message.fuzzy, message.id
            ids, strings = (
                tuple(map(str, each)) if isinstance(each, list | tuple) else (str(each),)
                for each in (message.id, message.string)
            )
            yield ids, strings, message.user_comments


def test_the_languages_of_the_files_are_offered() -> None:
    assert {"es", "fr"} <= set(TRANSLATED)
    for folder in FOLDERS:
        offered = languages(ROOT / folder, ROOT / "shared/web/ui")
        assert list(offered) == ["en", *(each.replace("_", "-") for each in TRANSLATED)]


@EVERY
def test_every_text_is_translated_with_the_names_and_markup_that_are_filled_in(folder: str, language: str) -> None:
    for ids, strings, _ in entries(folder, language):
        assert all(strings), ids
        for said in strings:
            for parts in (NAMES, MARKUP):
                assert sorted(set(parts.findall(said))) == sorted(set(parts.findall(ids[-1]))), ids
            assert (said[0].isspace(), said[-1].isspace()) == (False, False), ids


@EVERY
def test_no_text_is_left_in_english_unless_the_translator_says_so(folder: str, language: str) -> None:
    for ids, strings, comments in entries(folder, language):
        assert bool(set(ids) & set(strings)) == (SAME in comments), (ids, comments)


@EVERY
def test_the_compiled_file_is_that_of_the_texts(folder: str, language: str) -> None:
    compiled = io.BytesIO()
    mofile.write_mo(compiled, catalogue(folder, language))
    assert texts(folder, language).with_suffix(".mo").read_bytes() == compiled.getvalue(), "run make translations"


@pytest.mark.parametrize("language", ["en", *TRANSLATED])
def test_a_catalogue_says_how_its_language_writes_names_numbers_and_dates(language: str) -> None:
    t = words(language.replace("_", "-"))
    assert language == "en" or t(NAME) != NAME
    assert re.fullmatch(r"1\D?234\D5", t(NUMBER)), t(NUMBER)
    assert len(t(UNITS).split()) == 4
    assert len(set(t(MONTHS).split())) == 12


def test_a_program_uses_its_own_text_first_then_the_shared_one() -> None:
    for language, texts_of in (("fr", ("En panne", "jamais")), ("es", ("Caído", "nunca"))):
        page = words(language, "watchdog/status")
        assert (page("Down"), page("never"), page("unknown")) == (*texts_of, "unknown")


def test_every_state_has_a_word_and_a_colour_class() -> None:
    assert set(wording.STATE) == set(wording.KIND) == set(State)


def test_every_health_of_a_webhook_has_words() -> None:
    assert set(wording.WEBHOOK_HEALTH) == set(HealthState)


def test_every_source_of_the_client_version_has_words() -> None:
    assert set(wording.VERSION_SOURCE) == set(Source)


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_reason_has_wording_in_every_language(language: str) -> None:
    translated = catalogue("bot_service/dashboard", language)
    for reason in (*Reason, *Suspicion):
        english = wording.REASON[reason]
        # Nothing is shown for the steps of an ordinary start.
        assert english == "" or translated.get(english), reason


def test_every_state_incident_and_notice_of_the_watchdog_has_words() -> None:
    assert set(status_wording.STATE) == set(status_wording.KIND) == set(status_wording.SENTENCE) == set(TargetState)
    assert set(status_wording.INCIDENT) == set(IncidentKind)
    assert set(status_wording.NOTICE) == set(NoticeKind)


def reasons_in_code() -> set[str]:
    """The reason codes that the watchdog's code names: results of probes and deliveries, what ends, what is not sent."""
    found = {*health._UP_REASONS.values(), *incidents.CLOSE_REASONS.values(), *Why, "network"}
    found |= {code for _, code in network_errors._CODES}
    for file in (ROOT / "watchdog").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            values: list[ast.expr] = []
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                made = node.func.id in ("Failure", "SelfCheckResult", "Delivered")
                values = node.args if made else []
            elif isinstance(node, ast.Assign):
                pairs = [
                    (target.elts, node.value.elts)
                    for target in node.targets
                    if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple)
                ] or [(node.targets, [node.value])]
                values = [
                    value
                    for names, given in pairs
                    for name, value in zip(names, given, strict=False)
                    if isinstance(name, ast.Name) and name.id == "reason"
                ]
            found |= {v.value for v in values if isinstance(v, ast.Constant) and isinstance(v.value, str)}
    return found


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_reason_of_the_watchdog_has_words_in_every_language(language: str) -> None:
    found, translated = reasons_in_code(), catalogue("shared/web/ui", language)
    assert {"too_much", "silent", "unproven", "own_port", "recovered", "apprise_died"} <= found
    assert found - set(reason_words.REASON) == set()
    for code in found:
        message = translated.get(reason_words.REASON[code])
        assert message is not None, code
        assert message.string, code


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("7_changes", "7 changements"),
        ("4_of_9_pings_failed", "4 pings sur 9 ont échoué"),
        ("own_emfile", "erreur emfile"),
        ("error_OddError", "erreur OddError"),
        ("cannot_see:own_port", "le veilleur ne voit pas\u00a0: le port du veilleur est mort"),
        ("3_failures:too_much", "3 échecs de suite\u00a0: envoie plus que ne le fait un bot"),
    ],
)
def test_reasons_with_numbers_and_names_have_french_words(code: str, expected: str) -> None:
    assert reason_words.words(code, words("fr", "watchdog/status")) == expected

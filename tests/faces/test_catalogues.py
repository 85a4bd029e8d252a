"""The translators' files are complete and compiled; `make lint` checks that they hold the texts of the code."""

from __future__ import annotations

import ast
import io
import re
from pathlib import Path

import pytest
from babel.messages import mofile, pofile
from babel.messages.catalog import Catalog

from bot_service.dashboard import wording
from bot_service.domain.client_version import Source
from bot_service.domain.readiness import Suspicion
from bot_service.domain.reasons import Reason
from bot_service.domain.states import State
from bot_service.webhooks.health import HealthState
from shared import network_errors, reason_words
from shared.translation import french
from shared.web.ui.words import Words
from tests.support.processes import ROOT
from watchdog.domain import health, incidents
from watchdog.domain.alert import Why
from watchdog.domain.states import IncidentKind, NoticeKind
from watchdog.domain.states import State as TargetState
from watchdog.status import wording as status_wording

FOLDERS = ("bot_service/dashboard", "watchdog/status", "shared/web/ui")
NAME = re.compile(r"\{\w+\}")


def texts(folder: str) -> Path:
    return ROOT / folder / "locale/fr/LC_MESSAGES/messages.po"


def catalogue(folder: str) -> Catalog:
    with texts(folder).open("rb") as file:
        return pofile.read_po(file)


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_text_is_translated_with_the_names_that_are_filled_in(folder: str) -> None:
    for message in catalogue(folder):
        if message.id:
            ids, strings = (
                each if isinstance(each, list | tuple) else (each,) for each in (message.id, message.string)
            )
            assert all(strings), message.id
            assert not message.fuzzy, message.id
            for said in strings:
                assert set(NAME.findall(str(said))) == set(NAME.findall(str(ids[-1]))), message.id


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_compiled_file_is_that_of_the_texts(folder: str) -> None:
    compiled = io.BytesIO()
    mofile.write_mo(compiled, catalogue(folder))
    assert texts(folder).with_suffix(".mo").read_bytes() == compiled.getvalue(), "run make translations"


def test_a_program_uses_its_own_text_first_then_the_shared_one() -> None:
    page = french(ROOT / "watchdog/status", ROOT / "shared/web/ui")
    assert (page.gettext("Down"), page.gettext("never"), page.gettext("unknown")) == ("En panne", "jamais", "unknown")


def test_every_state_has_a_word_and_a_colour_class() -> None:
    assert set(wording.STATE) == set(wording.KIND) == set(State)


def test_every_health_of_a_webhook_has_words() -> None:
    assert set(wording.WEBHOOK_HEALTH) == set(HealthState)


def test_every_source_of_the_client_version_has_words() -> None:
    assert set(wording.VERSION_SOURCE) == set(Source)


@pytest.mark.parametrize("reason", [*Reason, *Suspicion])
def test_every_reason_has_wording_in_english_and_french(reason: str) -> None:
    english = wording.REASON[reason]
    # Nothing is shown for the steps of an ordinary start.
    assert english == "" or catalogue("bot_service/dashboard").get(english)


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


def test_every_reason_of_the_watchdog_has_words_in_both_languages() -> None:
    found, french_texts = reasons_in_code(), catalogue("shared/web/ui")
    assert {"too_much", "silent", "unproven", "own_port", "recovered", "apprise_died"} <= found
    assert found - set(reason_words.REASON) == set()
    for code in found:
        message = french_texts.get(reason_words.REASON[code])
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
    t = Words("fr", french(ROOT / "watchdog/status", ROOT / "shared/web/ui"))
    assert reason_words.words(code, t) == expected

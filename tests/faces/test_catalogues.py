"""Every text of the pages has a French one with the same names in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from bot_service.dashboard import watchdog_strip, wording
from bot_service.dashboard.french import FRENCH as DASHBOARD
from bot_service.domain import version_problems
from bot_service.domain.client_version import Source
from bot_service.domain.states import State
from bot_service.events.subscriptions import EVENT_TYPES
from shared.web.ui import words
from tests.faces.catalogue import of_python, of_templates
from tests.support.processes import ROOT
from watchdog.domain.states import IncidentKind, NoticeKind
from watchdog.domain.states import State as TargetState
from watchdog.status import wording as status_wording
from watchdog.status.french import FRENCH as STATUS

SHARED = ROOT / "shared/web/ui"


def texts(folder: Path) -> set[str]:
    both = of_templates(folder / "templates") | of_python(folder)
    return both | of_templates(SHARED / "templates") | of_python(SHARED)


def worded() -> set[str]:
    found = {*wording.STATE.values(), *wording.REASON.values(), *wording.ADVICE.values()}
    found |= {*wording.DONE.values(), *wording.PROBLEM.values(), *wording.MESSAGE_STATE}
    found |= {*wording.ADVICE_OF_STATE.values(), *wording.VERSION_SOURCE.values()}
    found |= {problem.says for problem in version_problems.PROBLEMS.values()}
    found |= {*wording.NO_ANSWER.values(), *wording.SCOPE.values(), *EVENT_TYPES.values()}
    return (found | set(watchdog_strip._SENTENCE.values())) - {""}


def worded_status() -> set[str]:
    found = {*status_wording.STATE.values(), *status_wording.SENTENCE.values(), *status_wording.INCIDENT.values()}
    found |= {*status_wording.REASON.values(), *status_wording.NOTICE.values(), *status_wording.ACTION.values()}
    lines = {said for said, _ in status_wording.LINE.values()}
    return found | set(status_wording.RESULT.values()) | lines


CASES = [
    ("bot_service/dashboard", DASHBOARD, worded()),
    ("watchdog/status", STATUS, worded_status()),
]


@pytest.mark.parametrize(("folder", "french", "more"), CASES)
def test_every_text_has_a_french_one(folder: str, french: Mapping[str, str], more: set[str]) -> None:
    missing = (texts(ROOT / folder) | more) - set(french) - set(words.FRENCH)
    assert sorted(missing) == []


@pytest.mark.parametrize("french", [words.FRENCH, *(case[1] for case in CASES)])
def test_translations_keep_the_names_that_are_filled_in(french: Mapping[str, str]) -> None:
    name = re.compile(r"\{\w+\}")
    assert [text for text, said in french.items() if set(name.findall(text)) != set(name.findall(said))] == []


def test_every_state_has_a_word_and_a_colour_class() -> None:
    assert set(wording.STATE) == set(wording.KIND) == set(State)


def test_every_source_of_the_client_version_and_reason_of_a_refusal_has_words() -> None:
    assert set(wording.VERSION_SOURCE) == set(Source)
    for reason in ("client_outdated", "client_refused", "fleet_outdated", "fleet_probe", "fleet_recovered"):
        assert wording.REASON[reason] in DASHBOARD, reason


def test_every_state_incident_and_notice_of_the_watchdog_has_words() -> None:
    assert set(status_wording.STATE) == set(status_wording.KIND) == set(status_wording.SENTENCE) == set(TargetState)
    assert set(status_wording.INCIDENT) == set(IncidentKind)
    assert set(status_wording.NOTICE) == set(NoticeKind)

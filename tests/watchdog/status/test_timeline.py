"""The events of an incident: English text for the API, whole sentences on the page in both languages."""

from __future__ import annotations

import msgspec
import pytest

from tests.support.catalogues import words
from watchdog.domain.states import Incident, IncidentKind
from watchdog.ledger.timeline import TimelineEvent
from watchdog.status import incident_model
from watchdog.status.schema import IncidentView, incident_view

AT = 1_790_000_000_000
INCIDENT = Incident("i1", "bot", IncidentKind.DOWN, AT, AT + 4000, "timeout", AT + 64_000, "recovered")
NOTICE = {"notice": "down", "channel": "https 12ab"}
REPAIR = {"remediator": "docker", "action": "restart_container"}
CASES = [
    ({"kind": "began", "reason": "timeout"}, "timeout", "Début : pas de réponse à temps"),
    ({"kind": "decided", "reason": "timeout"}, "down: timeout", "Confirmé : en panne"),
    ({"kind": "ping_failed", "reason": "http_500"}, "http_500", "Ping manqué : a répondu 500"),
    (
        {"kind": "state", "old": "UP", "new": "SUSPECT", "reason": "ping_failed:timeout"},
        "UP to SUSPECT: ping_failed:timeout",
        "En marche → Vérification : un ping a échoué : pas de réponse à temps",
    ),
    ({"kind": "delivered", **NOTICE}, "down by https 12ab delivered", "Alerte envoyée par https 12ab : en panne"),
    (
        {"kind": "delivery_failed", "reason": "timeout", **NOTICE},
        "down by https 12ab failed: timeout",
        "Alerte non remise par https 12ab : pas de réponse à temps",
    ),
    (
        {"kind": "muted", "reason": "maintenance", **NOTICE},
        "down by https 12ab muted: maintenance",
        "Alerte non envoyée par https 12ab : en panne (maintenance)",
    ),
    ({"kind": "repair_started", **REPAIR}, "docker restart_container", "Réparation : docker redémarrer le conteneur"),
    (
        {"kind": "repair_ended", "result": "done", "detail": "container bot", **REPAIR},
        "docker restart_container: done container bot",
        "Fin de réparation : docker redémarrer le conteneur : fait container bot",
    ),
    ({"kind": "acknowledged", "author": "ann"}, "by ann", "Pris en charge par ann"),
    ({"kind": "watchdog_gap"}, "watchdog gap", "Le veilleur ne tournait pas"),
]


FRENCH = words("fr", "watchdog/status")


def view(event: TimelineEvent) -> IncidentView:
    return incident_view(INCIDENT, AT + 90_000, [event])


@pytest.mark.parametrize(("fields", "english", "french"), CASES)
def test_an_event_is_whole_in_both_languages(fields: dict[str, str], english: str, french: str) -> None:
    incident = view(TimelineEvent(at_ms=AT, **fields))
    assert incident.timeline[0].text == english
    assert incident_model.incident(incident, FRENCH, several=False).steps[0].text == french.replace(" :", "\u00a0:")


def test_the_api_gives_the_values_of_an_event_beside_its_text() -> None:
    event = TimelineEvent(AT, "delivery_failed", "http_500", notice="down", channel="log")
    line = msgspec.json.decode(msgspec.json.encode(view(event)))["timeline"][0]
    assert line == {
        "atMs": AT,
        "kind": "delivery_failed",
        "reason": "http_500",
        "notice": "down",
        "channel": "log",
        "text": "down by log failed: http_500",
    }


def test_the_end_of_an_incident_says_how_long_it_took() -> None:
    event = TimelineEvent(AT + 64_000, "over", "recovered")
    assert view(event).timeline[0].text == "recovered after 1 min 4 s"

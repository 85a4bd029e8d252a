"""Languages, numbers and durations as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shared.web.ui.sessions_ready import of_health, sessions_ready
from shared.web.ui.words import language_of
from tests.support.catalogues import words

EN, FR, ES = words("en"), words("fr"), words("es")
OFFERED = ("en", "es", "fr", "pt-BR")


@pytest.mark.parametrize(
    ("cookie", "accept", "expected"),
    [
        (None, "", "en"),
        (None, "fr-FR,fr;q=0.9,en;q=0.8", "fr"),
        (None, "de,en;q=0.7,fr;q=0.8", "fr"),
        (None, "de,it", "en"),
        (None, "es-MX,es;q=0.9,en;q=0.8", "es"),
        (None, "es-419", "es"),
        (None, "pt", "pt-BR"),
        (None, "PT-br", "pt-BR"),
        (None, "pt-PT;q=0.8, fr;q=0.5", "pt-BR"),
        (None, "fr;q=0, en;q=0.1", "en"),
        (None, "fr;q=banana", "en"),
        ("en", "fr", "en"),
        ("xx", "fr", "fr"),
        ("pt-BR", "fr", "pt-BR"),
    ],
)
def test_the_readers_choice_wins_over_the_browsers(cookie: str | None, accept: str, expected: str) -> None:
    assert language_of(cookie, accept, OFFERED) == expected


def test_a_text_without_translation_stays_english_and_counting_follows_the_language() -> None:
    assert FR("Search") == "Chercher"
    assert (FR(""), EN("")) == ("", "")
    assert FR("Untranslated {n}", n=1) == "Untranslated 1"
    assert EN.many(0, "{n} day old", "{n} days old") == "0 days old"
    assert FR.many(0, "{n} day old", "{n} days old") == "vieille de 0 jour"
    assert ES.many(0, "{n} day old", "{n} days old") == "de hace 0 días"
    assert FR.many(1_000_000, "{n} day old", "{n} days old") == "vieille de 1\u202f000\u202f000 jours"


@pytest.mark.parametrize(
    ("milliseconds", "expected"),
    [
        (45, "45\u00a0ms"),
        (12_300, "12\u00a0s"),
        (200_000, "3\u00a0min 20\u00a0s"),
        (187_200_000, "2\u00a0d 4\u00a0h"),
        (3_600_000, "1\u00a0h"),
    ],
)
def test_durations_have_at_most_two_units(milliseconds: float, expected: str) -> None:
    assert EN.span(milliseconds) == expected


def test_a_ratio_is_never_rounded_up_to_a_hundred_per_cent() -> None:
    assert EN.percent(0.999999) == "99.99%"
    assert EN.percent(1.0) == "100%"
    assert EN.percent(None) == "–"
    assert FR.percent(0.9995) == ES.percent(0.9995) == "99,95\u202f%"


@pytest.mark.parametrize(
    ("counts", "english", "french", "spanish"),
    [
        ((0, 0, 0), "No session yet", "Aucune session pour l’instant", "Todavía no hay sesiones"),
        (
            (0, 0, 4),
            "No session is running, 4 stopped",
            "Aucune session en marche, 4 arrêtées",
            "Ninguna sesión en marcha, 4 detenidas",
        ),
        ((1, 1, 1), "1 session is ready", "1 session est prête", "1 sesión está lista"),
        (
            (0, 1, 2),
            "The session is not ready, 1 stopped",
            "La session n’est pas prête, 1 arrêtée",
            "La sesión no está lista, 1 detenida",
        ),
        (
            (1, 8, 1002),
            "1 of 8 running sessions ready, 994 stopped",
            "1 session prête sur 8 en marche, 994 arrêtées",
            "1 de 8 sesiones en marcha está lista, 994 detenidas",
        ),
        (
            (8, 8, 8),
            "8 of 8 running sessions ready",
            "8 sessions prêtes sur 8 en marche",
            "8 de 8 sesiones en marcha están listas",
        ),
    ],
)
def test_one_sentence_says_how_many_sessions_are_ready(
    counts: tuple[int, int, int], english: str, french: str, spanish: str
) -> None:
    ready, running, total = counts
    assert [sessions_ready(t, ready=ready, running=running, total=total) for t in (EN, FR, ES)] == [
        english,
        french,
        spanish,
    ]


def test_health_of_an_older_bot_counts_every_session_as_running() -> None:
    assert of_health({"total": 4, "ready": 3}) == "3 of 4 running sessions ready"
    assert of_health({"total": 9, "wanted": 4, "ready": 3}) == "3 of 4 running sessions ready, 5 stopped"
    assert of_health({"total": "x", "ready": None}) == "No session yet"


def test_moments_are_relative_to_now() -> None:
    now = datetime(2026, 11, 23, 9, 16, tzinfo=UTC)
    assert EN.ago(now - timedelta(seconds=75), now) == "1\u00a0min ago"
    assert FR.ago(now - timedelta(seconds=75), now) == "il y a 1\u00a0min"
    assert EN.ago(now + timedelta(hours=2), now) == "in 2\u00a0h"
    assert EN.ago(None, now) == "never"
    assert FR.when(now) == "23 nov. 2026, 09:16 UTC"
    assert ES.ago(now - timedelta(days=3), now) == "hace 3\u00a0d"
    assert ES.when(now) == "23 nov 2026, 09:16 UTC"

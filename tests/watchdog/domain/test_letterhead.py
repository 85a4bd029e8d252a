"""What leaves by a channel says which installation it comes from and where a person can act."""

from __future__ import annotations

import pytest

from shared.contract.attention import NoticeWords
from shared.contract.installation import UNNAMED, Installation
from watchdog.domain import notices
from watchdog.domain.letterhead import signed
from watchdog.domain.states import Incident, IncidentKind, NoticeKind

SHOP = Installation("Shop Lyon", "https://watch.example")
DOWN = Incident("bot-down-1", "bot", IncidentKind.DOWN, 1000, 2000, "timeout")


def test_an_alert_names_the_installation_and_links_to_its_incident() -> None:
    sent = signed(notices.opened(DOWN), SHOP)
    assert sent.title == "Shop Lyon: bot is DOWN"
    assert sent.text.startswith("Shop Lyon: bot is DOWN since ")
    assert sent.text.endswith(" https://watch.example/operator?incident=bot-down-1")
    assert sent.fields["installation"] == "Shop Lyon"
    assert sent.fields["link"] == "https://watch.example/operator?incident=bot-down-1"
    assert (sent.id, sent.incident_id) == (f"{DOWN.id}:down", DOWN.id), "receivers know it by the same id"


def test_without_a_name_and_an_address_an_alert_stays_as_it_was() -> None:
    notice = notices.opened(DOWN)
    assert signed(notice, UNNAMED) == notice


@pytest.mark.parametrize(
    ("installation", "title", "link"),
    [
        (Installation(name="A"), "A: Test alert", None),
        (Installation(page="https://w"), "Test alert", "https://w/operator"),
    ],
)
def test_name_and_address_do_not_need_each_other(installation: Installation, title: str, link: str | None) -> None:
    sent = signed(notices.test("test:1", 1000, "ann"), installation)
    assert (sent.title, sent.fields.get("link")) == (title, link)


def test_a_notice_about_sessions_keeps_its_own_links() -> None:
    words = NoticeWords("Session Ann needs a person", "Ann: https://bot.example/sessions/ann", {"count": 1})
    sent = signed(notices.attention(NoticeKind.ATTENTION, "bot", words, 1000, "1"), SHOP)
    assert sent.text == "Shop Lyon: Ann: https://bot.example/sessions/ann"
    assert "link" not in sent.fields

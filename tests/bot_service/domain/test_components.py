"""Sessions are grouped by owner or by the beginning of their ids; only those that should run count."""

from __future__ import annotations

import pytest

from bot_service.domain.components import Component, Count, counted
from bot_service.domain.session_record import SessionRecord
from bot_service.domain.states import State, Wanted
from bot_service.settings import BotSettings
from shared.settings import SettingsError, load


def record(name: str, owner: str, state: State, *, wanted: Wanted = Wanted.RUN) -> SessionRecord:
    return SessionRecord(id=name, owner=owner, name=name, created_ms=0, wanted=wanted, state=state)


def test_sessions_are_counted_by_owner_and_by_the_beginning_of_their_ids() -> None:
    records = [
        record("support-1", "lyon", State.READY),
        record("support-2", "lyon", State.RECONNECTING),
        record("shop", "lyon", State.READY),
        record("old", "lyon", State.STOPPED, wanted=Wanted.STOP),
        record("paris", "paris", State.READY),
    ]
    components = [
        Component("Lyon", owner="lyon"),
        Component("Support", prefix="support-"),
        Component("None", owner="x"),
    ]
    assert counted(components, records) == [Count(3, 2), Count(2, 1), Count(0, 0)]


def test_the_setting_names_groups() -> None:
    settings = load(BotSettings, {"STATUS_COMPONENTS": " Boutique Lyon=owner:lyon , Support = sessions:support-* "})
    assert settings.status_components == (
        Component("Boutique Lyon", owner="lyon"),
        Component("Support", prefix="support-"),
    )


@pytest.mark.parametrize(
    "value",
    ["Lyon", "Lyon=lyon", "Lyon=owner:", "=owner:lyon", "A=owner:a,A=owner:b", "x" * 61 + "=owner:a", "a\nb=owner:a"],
)
def test_a_group_without_a_name_or_a_rule_is_refused_with_its_variable(value: str) -> None:
    with pytest.raises(SettingsError, match="STATUS_COMPONENTS"):
        load(BotSettings, {"STATUS_COMPONENTS": value})

"""The order in which a client's connection is told, whatever the order in which the library tells it."""

from __future__ import annotations

from typing import Any

from bot_service.domain.session_record import Signal
from bot_service.domain.signals import SignalKind as K
from bot_service.engines.neonize.connection import Connection


def connection() -> tuple[Connection, list[K]]:
    told: list[K] = []

    def tell(kind: K, _data: dict[str, Any]) -> None:
        told.append(kind)

    return Connection(tell), told


def test_the_end_of_the_offline_messages_is_told_after_connected() -> None:
    link, told = connection()
    link.dialing()
    link.report(Signal(K.OFFLINE_SYNC_COMPLETED, {"count": 1}))
    assert link.caught_up.is_set()
    link.connected()
    assert told == [K.CONNECTING, K.CONNECTED, K.OFFLINE_SYNC_COMPLETED]


def test_what_belongs_to_a_connection_that_failed_is_never_told() -> None:
    link, told = connection()
    link.dialing()
    link.report(Signal(K.OFFLINE_SYNC_COMPLETED, {"count": 1}))
    link.dialing()
    assert not link.caught_up.is_set()
    link.connected()
    assert told == [K.CONNECTING, K.CONNECTING, K.CONNECTED]


def test_a_loss_that_the_library_tells_too_late_is_told_once_and_before_the_next_try() -> None:
    link, told = connection()
    link.dialing()
    link.connected()
    link.dialing()
    link.disconnected()
    assert told == [K.CONNECTING, K.CONNECTED, K.DISCONNECTED, K.CONNECTING]
    link.connected()
    link.disconnected()
    assert told[-2:] == [K.CONNECTED, K.DISCONNECTED]


def test_other_signs_wait_for_nothing() -> None:
    link, told = connection()
    link.report(Signal(K.PRESENCE, {}))
    assert told == [K.PRESENCE]

"""Channels that send notices with the installation's name and a link."""

from __future__ import annotations

from collections.abc import Sequence

from shared.contract.installation import Installation
from watchdog.domain.letterhead import signed
from watchdog.domain.ports import Delivered, Notifier
from watchdog.domain.states import Notice
from watchdog.notifiers.alertmanager import AlertmanagerNotifier


class SignedNotifier:
    """``inner`` behind the same channel and label."""

    def __init__(self, inner: Notifier, installation: Installation) -> None:
        self._inner, self._installation = inner, installation
        self.channel, self.label = inner.channel, inner.label

    async def send(self, notice: Notice) -> Delivered:
        return await self._inner.send(signed(notice, self._installation))


class SignedAlertmanager(SignedNotifier):
    """It hears open incidents again."""

    def __init__(self, inner: AlertmanagerNotifier, installation: Installation) -> None:
        super().__init__(inner, installation)
        self._alertmanager = inner

    async def repeat(self, notices: Sequence[Notice]) -> Delivered:
        return await self._alertmanager.repeat([signed(notice, self._installation) for notice in notices])

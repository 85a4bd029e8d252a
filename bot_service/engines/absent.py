"""An engine pool that starts nothing: every session says that there is no engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from bot_service.domain.message import OutgoingMessage
from bot_service.domain.ports import EngineSignal
from bot_service.engines.base import EngineError


def _refuse() -> NoReturn:
    raise EngineError("not_supported", "this service runs without an engine")


class NoEngine:
    async def open(self) -> None:
        return None

    async def close(self) -> None:
        return None

    async def start_session(self, session: str, *, jid: str | None, proxy: str | None) -> int:
        _refuse()

    async def stop_session(self, session: str) -> None:
        return None

    async def logout_session(self, session: str) -> None:
        _refuse()

    async def pairing_code(self, session: str, phone: str) -> str:
        _refuse()

    async def send(self, session: str, message: OutgoingMessage) -> NoReturn:
        _refuse()

    async def mark_read(self, session: str, chat: str, sender: str, message_ids: list[str]) -> None:
        _refuse()

    async def typing(self, session: str, chat: str, state: str) -> None:
        _refuse()

    async def simulate(self, session: str, action: str, args: dict[str, Any]) -> Any:
        _refuse()

    async def recycle_worker_of(self, session: str) -> None:
        _refuse()

    async def move_session(self, session: str) -> None:
        return None

    async def forget_session(self, session: str) -> None:
        return None

    async def stop_unclaimed(self) -> None:
        return None

    def journals_in_use(self) -> set[str]:
        return set()

    def frame_ages_ms(self, session: str) -> tuple[int | None, int | None]:
        return None, None

    def on_signal(self, listener: Callable[[EngineSignal], None]) -> None:
        return None

    def on_journal(self, listener: Callable[[str, int], None]) -> None:
        return None

"""Asks WhatsApp on behalf of a use case, and turns its refusals into those of this service."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bot_service.domain.directory import Question
from bot_service.domain.ports import DirectoryPool
from bot_service.domain.refused import Refused
from bot_service.domain.session_record import SessionRecord
from bot_service.engines.port import EngineError
from bot_service.sessions.commands import anywhere, engine_call

ENGINE_TIMEOUT_S = 30.0


class Asking:
    """``touch(session)`` notes that a person or program uses the session, ``require_here(session)`` raises
    :class:`RunsElsewhere` for one of another replica."""

    def __init__(
        self, pool: DirectoryPool, *, touch: Callable[[str], None], require_here: Callable[[str], None] = anywhere
    ) -> None:
        self._pool, self._touch, self._require_here = pool, touch, require_here

    async def __call__(self, record: SessionRecord, question: Question) -> Any:
        """The answer, of ``domain.questions.answer_type(question)``.

        Raises :class:`EngineError`, and :class:`Refused` ``refused_by_whatsapp`` and ``unsupported_by_engine``.
        """
        self._require_here(record.id)
        try:
            async with engine_call(ENGINE_TIMEOUT_S):
                answer = await self._pool.ask(record.id, question)
        except EngineError as error:
            if error.code == "rejected":
                # WhatsApp works and said no: an unknown group, a wrong code, a missing right.
                raise Refused("refused_by_whatsapp", error.detail) from None
            if error.code == "not_supported":
                raise Refused("unsupported_by_engine", error.detail) from None
            raise
        self._touch(record.id)
        return answer

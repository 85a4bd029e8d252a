"""All questions that an engine answers, and the type of each answer."""

from __future__ import annotations

from typing import Any

from bot_service.domain import channels, directory, people
from bot_service.domain.directory import Question

QUESTIONS = directory.QUESTIONS | people.QUESTIONS | channels.QUESTIONS
_ANSWERS: dict[type, Any] = directory.ANSWERS | people.ANSWERS | channels.ANSWERS


def answer_type(question: Question) -> Any:
    """The type of the answer to ``question``; ``None`` for questions without one."""
    return _ANSWERS.get(type(question))

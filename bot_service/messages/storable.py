"""Texts of messages that every database can hold: a sender chooses ids and contents freely.

PostgreSQL refuses NUL characters and texts that are longer than their column, so one such message
would hold up all that arrive after it.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from bot_service.domain.group_changes import GroupChange
from bot_service.domain.message import InboundMessage, Receipt

LONGEST_ID = 128
# What is shown in place of NUL.
_NUL, _SHOWN = "\x00", "\u2400"
_ENCODED_NUL = rb"\u0000"
_ENCODE = msgspec.json.Encoder().encode


def message(given: InboundMessage) -> InboundMessage:
    """``given``, or a copy with a shorter id and without NUL characters."""
    if len(given.id) > LONGEST_ID:
        given = msgspec.structs.replace(given, id=_shorter(given.id))
    if _ENCODED_NUL not in _ENCODE(given):
        return given
    return msgspec.convert(_without_nul(msgspec.to_builtins(given)), InboundMessage)


def group_change(given: GroupChange) -> GroupChange:
    """Without NUL characters in its texts."""
    if _ENCODED_NUL not in _ENCODE(given):
        return given
    return msgspec.convert(_without_nul(msgspec.to_builtins(given)), GroupChange)


def receipt(given: Receipt) -> Receipt:
    """Without the ids that no sent message can have."""
    possible = [each for each in given.message_ids if len(each) <= LONGEST_ID and _NUL not in each]
    return given if len(possible) == len(given.message_ids) else msgspec.structs.replace(given, message_ids=possible)


def _shorter(text: str) -> str:
    """Different for different texts, and the same each time."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{text[: LONGEST_ID - len(digest) - 1]}-{digest}"


def _without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace(_NUL, _SHOWN)
    if isinstance(value, dict):
        return {name: _without_nul(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nul(each) for each in value]
    return value

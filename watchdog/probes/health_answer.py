"""Examines an answer of ``/health``: whether it comes from the bot, and whether the bot is well.

An answer proves by its boot id, and by its proof where both programs share WATCHDOG_TOKEN, that it
comes from the bot; a page of a proxy in front of a dead bot does not (decision 0110).
"""

from __future__ import annotations

from typing import Any

import msgspec

from shared.contract.identity import BOT, WATCHDOG, Identity
from watchdog.domain.outcome import REFUSALS
from watchdog.probes.http1 import Answer
from watchdog.probes.reasons import Failure, Proof

NOT_THE_BOT = Failure("not_the_bot", Proof.TARGET, True)
A_WATCHDOG = Failure("a_watchdog", Proof.TARGET, False)
UNPROVEN = Failure("unproven", Proof.TARGET, True)
UNWELL = Failure("unwell", Proof.TARGET, True)
LONGEST_BOOT_ID = 100
# Errors of a proxy in front of the bot; others come from the program behind it.
GATEWAY_ERRORS = frozenset({502, 503, 504, *range(520, 531)})


class KnownBoots(msgspec.Struct, frozen=True):
    """Boot ids that the target has shown, and those of them that came with a proof."""

    boots: tuple[str, ...] = ()
    proved: tuple[str, ...] = ()


class Examined(msgspec.Struct, frozen=True):
    """``failure`` is None for an answer of a healthy bot.

    ``refused`` is the HTTP status of an answer that is no failure of the bot and no sign of its
    health. ``by_bot``: the bot itself answered. ``watchdog``: boot id of a watchdog that answered.
    ``needs_person``: how many sessions do, None when the answer does not say.
    """

    failure: Failure | None
    status: int | None = None
    refused: int | None = None
    boot_id: str | None = None
    orderly_stops: tuple[str, ...] = ()
    proved: bool = False
    by_bot: bool = False
    watchdog: str | None = None
    needs_person: int | None = None


class _Body(msgspec.Struct, rename="camel"):
    status: str | None = None
    boot_id: str | None = None
    proof: str | None = None
    orderly_stops: tuple[str, ...] = ()
    sessions: Any = None
    last_cycle_age: Any = msgspec.UNSET  # only a watchdog has cycles


_decode = msgspec.json.Decoder(_Body).decode


def examine(answer: Answer, challenge: str, identity: Identity | None, known: KnownBoots) -> Examined:
    """What ``answer`` to a ping with ``challenge`` means. Without ``identity`` boot ids count."""
    status = answer.status
    if 400 <= status < 500 and known.boots:
        # The bot has a /health, always, and asks for no key there: a proxy or a gate answers in its place.
        return Examined(NOT_THE_BOT, status)
    if status in REFUSALS:
        return Examined(Failure(f"refused_{status}", Proof.TARGET, False), status, refused=status)
    body = _body(answer.body)
    if body is not None and body.last_cycle_age is not msgspec.UNSET:
        return Examined(A_WATCHDOG, status, watchdog=body.boot_id)
    boot_id = body.boot_id[:LONGEST_BOOT_ID] if body is not None and body.boot_id else None
    proved = body is not None and identity is not None and identity.proves(body.proof, BOT, boot_id, challenge)
    if not 200 <= status < 300:
        by_bot = proved or (boot_id is not None and boot_id in known.boots and boot_id not in known.proved)
        by_bot = by_bot or (status >= 500 and status not in GATEWAY_ERRORS)
        return Examined(Failure(f"http_{status}", Proof.TARGET, status >= 500), status, by_bot=by_bot)
    if body is None or (boot_id is None and known.boots):
        return Examined(NOT_THE_BOT, status)
    if not proved and known.proved and (boot_id not in known.boots or boot_id in known.proved):
        return Examined(UNPROVEN, status, refused=status)
    if boot_id is not None and body.status not in (None, "ok"):
        return Examined(UNWELL, status, by_bot=True)
    return Examined(
        None,
        status,
        boot_id=boot_id,
        orderly_stops=body.orderly_stops,
        proved=proved,
        by_bot=boot_id is not None,
        needs_person=_needs_person(body.sessions),
    )


def proved_watchdog(answer: Answer, challenge: str, identity: Identity) -> str | None:
    """The boot id of the watchdog that answered ``challenge`` with its proof, well or not."""
    body = _body(answer.body)
    if body is None or not identity.proves(body.proof, WATCHDOG, body.boot_id, challenge):
        return None
    return body.boot_id


def _needs_person(sessions: object) -> int | None:
    found = sessions.get("needPerson") if isinstance(sessions, dict) else None
    return found if isinstance(found, int) and not isinstance(found, bool) and found >= 0 else None


def _body(raw: bytes) -> _Body | None:
    """None when ``raw`` is no JSON object with fields of the right types."""
    try:
        return _decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None

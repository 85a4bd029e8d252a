"""What the server or the owner's phone does to an account: unlink, replace, ban, lock, refuse."""

from __future__ import annotations

from typing import Any

from bot_service.domain.signals import SignalKind
from bot_service.engines.simulator.arguments import Arguments
from bot_service.engines.simulator.session import Link, SimulatedSession

Result = dict[str, Any]


def logout(session: SimulatedSession, args: Arguments) -> Result:
    """The owner unlinks this device on the phone."""
    args.end()
    session.phone.linked = False
    session.set_condition("loggedOut")
    session.end(SignalKind.LOGGED_OUT, code=401, onConnect=False)
    return {"code": 401}


def replaced(session: SimulatedSession, args: Arguments) -> Result:
    """Another client logged in with the same credentials."""
    args.end()
    if session.link is not Link.OFF:
        session.end(SignalKind.REPLACED)
    return {}


def ban(session: SimulatedSession, args: Arguments) -> Result:
    """The account is banned permanently."""
    args.end()
    session.set_condition("banned")
    session.end(SignalKind.BANNED, code=406)
    return {"code": 406}


def temp_ban(session: SimulatedSession, args: Arguments) -> Result:
    """The account is banned for ``seconds``; ``code`` is the server's reason, 101 to 106."""
    seconds = args.whole("seconds", 3600, 1, 366 * 86_400)
    code = args.whole("code", 101, 101, 106)
    args.end()
    session.set_condition("tempBanned", code=code, untilMs=session.world.now_ms() + seconds * 1000)
    session.end(SignalKind.TEMP_BANNED, code=code, expiresInMs=seconds * 1000)
    return {"code": code, "expiresInMs": seconds * 1000}


def outdated(session: SimulatedSession, args: Arguments) -> Result:
    """The server refuses this client version."""
    code = args.whole("code", 405, 400, 499)
    until_ms = args.until_ms(session.world.now_ms())
    args.end()
    session.set_condition("outdated", code=code, untilMs=until_ms)
    session.end(SignalKind.OUTDATED, code=code)
    return {"code": code}


def primary_gone(session: SimulatedSession, args: Arguments) -> Result:
    """The phone itself is gone or locked."""
    args.end()
    session.set_condition("primaryGone")
    session.end(SignalKind.PRIMARY_GONE, code=403)
    return {"code": 403}


def connect_refused(session: SimulatedSession, args: Arguments) -> Result:
    """The server refuses every connect with ``code``, for ``seconds`` or until ``heal``."""
    code = args.whole("code", 415, 400, 599)
    until_ms = args.until_ms(session.world.now_ms())
    args.end()
    session.set_condition("connectRefused", code=code, untilMs=until_ms)
    session.end(SignalKind.CONNECT_REFUSED, code=code)
    return {"code": code, "untilMs": until_ms}


def timelock(session: SimulatedSession, args: Arguments) -> Result:
    """New chats are locked for ``seconds``; replies in known chats go on."""
    until_ms = session.world.now_ms() + args.whole("seconds", 3600, 1, 366 * 86_400) * 1000
    args.end()
    session.set_condition("timelock", untilMs=until_ms)
    session.report(SignalKind.TIMELOCK, untilMs=until_ms)
    return {"untilMs": until_ms}


def reject_sends(session: SimulatedSession, args: Arguments) -> Result:
    """The server refuses every send with ``code``, for ``seconds`` or until ``heal``."""
    code = args.whole("code", 479, 400, 599)
    until_ms = args.until_ms(session.world.now_ms())
    args.end()
    session.set_condition("rejectSends", code=code, untilMs=until_ms)
    return {"code": code, "untilMs": until_ms}

"""Pairs a simulated phone: QR codes that rotate and expire, pairing codes, and failures."""

from __future__ import annotations

import base64

from bot_service.domain.signals import SignalKind
from bot_service.engines.port import EngineError
from bot_service.engines.simulator.session import Link, SimulatedSession
from bot_service.engines.simulator.world import digits_of

PAIRING_CODE_MS = 160_000
# Without easily confused letters and digits, as on the real service.
CODE_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTVWXYZ"


def begin(session: SimulatedSession) -> None:
    """Dials without an account and shows the first code."""
    session.set_link(Link.CONNECTING)
    session.report(SignalKind.CONNECTING)
    session.later(session.world.options.connect_ms, lambda: _dialed(session))


def _dialed(session: SimulatedSession) -> None:
    if session.condition("offline"):
        session.end(SignalKind.CONNECT_ERROR, reason="no route to the server")
        return
    session.set_link(Link.PAIRING)
    _show(session, 1)
    wait_ms = session.world.options.auto_pair_ms
    if wait_ms >= 0:
        session.later(wait_ms, lambda: scan(session))


def _show(session: SimulatedSession, index: int) -> None:
    options = session.world.options
    if index > options.qr_codes:
        session.end(SignalKind.QR_EXHAUSTED)
        return
    life_ms = options.qr_first_ms if index == 1 else options.qr_next_ms
    chance = session.world.random_for(session.name, "qr", session.world.now_ms(), index)
    parts = [base64.b64encode(chance.randbytes(size)).decode() for size in (24, 32, 32, 32)]
    session.qr_code = "2@" + ",".join(parts)
    session.report(SignalKind.QR, code=session.qr_code, expiresInMs=life_ms, round=1, index=index)
    session.world.sink.frame_seen(session.name)
    session.later(life_ms, lambda: _show(session, index + 1))


def scan(session: SimulatedSession, *, number: str | None = None, push_name: str | None = None) -> dict[str, str]:
    """The phone scans the code that is shown.

    Raises :class:`EngineError` ``invalid`` when none is.
    """
    if session.link is not Link.PAIRING:
        raise EngineError("not_pairing", "no code is shown to scan")
    chance = session.world.random_for(session.name, "number")
    digits = digits_of(number) if number else "49" + "".join(str(chance.randrange(10)) for _ in range(11))
    device = chance.randrange(1, 90)
    phone = session.phone
    phone.jid, phone.lid = f"{digits}:{device}@s.whatsapp.net", f"{chance.randrange(10**14, 10**15)}@lid"
    phone.push_name, phone.linked = push_name or "Simulated phone", True
    phone.conditions.pop("loggedOut", None)
    session.world.files.register_number(digits, session.name)
    session.world.files.save_phone(session.name, phone)
    session.report(SignalKind.PAIRED, jid=phone.jid, lid=phone.lid, pushName=phone.push_name)
    session.report(SignalKind.PAIR_RESTART)
    session.attempts = 0
    session.reconnect()
    return {"jid": phone.jid, "phone": digits}


def pairing_code(session: SimulatedSession, number: str) -> str:
    """A code to type on the phone ``number``. Raises :class:`EngineError`."""
    if session.link is not Link.PAIRING:
        raise EngineError("not_pairing", "the session is not waiting to be paired", retryable=True)
    if not 7 <= len(digits_of(number)) <= 15:
        raise EngineError("invalid", "a telephone number has 7 to 15 digits")
    chance = session.world.random_for(session.name, "code", session.world.now_ms())
    letters = "".join(chance.choice(CODE_ALPHABET) for _ in range(8))
    session.pairing_code = f"{letters[:4]}-{letters[4:]}"
    session.report(SignalKind.PAIRING_CODE, code=session.pairing_code, expiresInMs=PAIRING_CODE_MS)
    return session.pairing_code


def enter_code(session: SimulatedSession, code: str, *, number: str | None = None) -> dict[str, str]:
    """A person types ``code`` on the phone."""
    if session.pairing_code is None:
        raise EngineError("not_pairing", "no pairing code was asked for")
    if code.replace("-", "").upper() != session.pairing_code.replace("-", ""):
        session.report(SignalKind.PAIR_ERROR, reason="wrong pairing code")
        raise EngineError("invalid", "the code is wrong", field="code")
    return scan(session, number=number)

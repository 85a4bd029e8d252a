"""Records that older versions stored are read, and older versions could read what is stored now."""

import msgspec

from bot_service.domain.session_record import SessionRecord
from tests.bot_service.domain.sessions import session


def test_the_recovery_step_keeps_the_names_under_which_it_was_stored() -> None:
    stored = msgspec.json.encode(session(recovery_step=2, recovery_step_ms=7))
    plain = msgspec.json.decode(stored)
    assert (plain["rung"], plain["rung_ms"]) == (2, 7)
    assert not [name for name in plain if name.startswith("recovery")]
    back = msgspec.json.decode(stored, type=SessionRecord)
    assert (back.recovery_step, back.recovery_step_ms) == (2, 7)

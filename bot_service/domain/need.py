"""Why a session needs a person, as it is stored in the session's record."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class NeedCode(StrEnum):
    """The values are stored, shown by the API and sent in alerts: they are stable."""

    BANNED = "banned"
    TEMP_BANNED = "temp_banned"
    TEMP_BANNED_AGAIN = "temp_banned_again"
    LOGGED_OUT = "logged_out"
    PRIMARY_GONE = "primary_gone"
    FENCED = "fenced"
    NOT_PAIRED = "not_paired"
    REFUSED = "refused"
    CLOSED = "closed"
    OUTDATED = "outdated"
    NOT_RECEIVING = "not_receiving"


class Voice(StrEnum):
    """Which program sends the notices about a need; it also sends that of the end."""

    NOT_YET = ""
    BOT = "bot"
    WATCHDOG = "watchdog"


class Need(msgspec.Struct, frozen=True, gc=False):
    """One need, from its begin until the notice of its end; times in ms since the epoch.

    ``over_ms``: the session works again, and the notice of that is still to be sent.
    """

    code: NeedCode
    since_ms: int
    voice: Voice = Voice.NOT_YET
    over_ms: int | None = None

    @property
    def lasts(self) -> bool:
        """Whether the session still needs a person."""
        return self.over_ms is None

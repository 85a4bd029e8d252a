"""WhatsApp's client version: which build to announce, its age, and which to try next. Pure.

Every version is ``2.3000.BUILD``. At login WhatsApp refuses builds that are about two months old
(connect failure 405), so the announced build follows the one that WhatsApp publishes. A build is
one integer here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

PREFIX = "2.3000."
# Two published builds, 61 days apart, give the rate: 1041898753 on 2026-06-22 and 1045818043 on
# 2026-08-22.
BUILDS_PER_DAY = 64_250
_KNOWN_BUILD, _KNOWN_AT = 1_045_818_043, datetime(2026, 8, 22, tzinfo=UTC)
# Numbers of this size are builds; the native library keeps one as a 32-bit number.
LOWEST_BUILD, HIGHEST_BUILD = 1_000_000_000, 1_999_999_999
AHEAD_LIMIT = timedelta(days=120)

# The page is HTML or JavaScript; in the latter the quotes are escaped.
_REVISION = re.compile(r'\\?"client_revision\\?"\s*:\s*(?:\\?")?([^,}"\\\s]{1,40})')


class Mode(StrEnum):
    """How ``WHATSAPP_VERSION`` chooses the announced build."""

    AUTO = "auto"
    BUILTIN = "builtin"
    MANUAL = "manual"


class Source(StrEnum):
    """Where the announced build comes from."""

    PUBLISHED = "published"
    BUILTIN = "builtin"
    MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class Setting:
    """``WHATSAPP_VERSION``; ``build`` is set for MANUAL only."""

    mode: Mode = Mode.AUTO
    build: int | None = None

    def __str__(self) -> str:
        return self.mode.value if self.build is None else version(self.build)


def version(build: int) -> str:
    """``2.3000.BUILD``."""
    return f"{PREFIX}{build}"


def parse_setting(text: str) -> Setting:
    """Raises ``ValueError`` for anything but ``auto``, ``builtin`` and ``2.3000.N``."""
    word = text.strip().lower()
    if word in (Mode.AUTO, Mode.BUILTIN):
        return Setting(Mode(word))
    if not re.fullmatch(r"2\.3000\.[0-9]{1,10}", word):
        raise ValueError
    build = int(word.removeprefix(PREFIX))
    if not LOWEST_BUILD <= build <= HIGHEST_BUILD:
        raise ValueError
    return Setting(Mode.MANUAL, build)


def estimated_build(now: datetime) -> int:
    """About what WhatsApp publishes at ``now``."""
    return _KNOWN_BUILD + int((now - _KNOWN_AT) / timedelta(days=1) * BUILDS_PER_DAY)


def age_days(build: int, now: datetime) -> float:
    """About how many days ago ``build`` was published, to a tenth; never negative. Needs no network."""
    return round(max(0.0, (estimated_build(now) - build) / BUILDS_PER_DAY), 1)


class Rejection(StrEnum):
    """Why a published value is not used."""

    NOT_FOUND = "not_found"  # the page holds no client_revision
    NOT_A_NUMBER = "not_a_number"
    OLDER_THAN_BUILTIN = "older_than_builtin"
    TOO_FAR_AHEAD = "too_far_ahead"  # more than AHEAD_LIMIT ahead of today's estimate


def published_build(page: str, *, builtin: int, now: datetime) -> int | Rejection:
    """The build that the version page publishes, or why it cannot be used."""
    found = _REVISION.search(page)
    if found is None:
        return Rejection.NOT_FOUND
    if not re.fullmatch(r"[0-9]{1,15}", found[1]):
        return Rejection.NOT_A_NUMBER
    build = int(found[1])
    if build < builtin:
        return Rejection.OLDER_THAN_BUILTIN
    if build > min(estimated_build(now + AHEAD_LIMIT), HIGHEST_BUILD):
        return Rejection.TOO_FAR_AHEAD
    return build


@dataclass(frozen=True, slots=True)
class Versions:
    """Known builds: ``published`` is the last good value; WhatsApp ``refused`` some at login."""

    setting: Setting
    builtin: int
    published: int | None = None
    refused: frozenset[int] = frozenset()

    @property
    def best(self) -> int:
        """The build that new workers announce. When every build was refused, the newest."""
        return next((build for build in self.usable if build not in self.refused), self.usable[0])

    @property
    def usable(self) -> tuple[int, ...]:
        """Every build that the setting allows, the first choice first, the fallback last."""
        if self.setting.build is not None:
            return (self.setting.build,)
        if self.setting.mode is Mode.BUILTIN or self.published is None or self.published <= self.builtin:
            return (self.builtin,)
        return (self.published, self.builtin)

    def source(self, build: int) -> Source:
        if build == self.setting.build:
            return Source.MANUAL
        return Source.BUILTIN if build == self.builtin else Source.PUBLISHED

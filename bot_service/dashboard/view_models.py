"""Turns sessions and messages into what the templates print, in the reader's language."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bot_service.dashboard import wording
from bot_service.domain import version_problems
from bot_service.domain.attention import ADVICE, open_need
from bot_service.domain.session_record import DueKind, SessionRecord, Transition
from bot_service.domain.states import LINKED, LIVE, Actor, State, Wanted
from bot_service.sessions.client_version import VersionFacts
from shared.clock import from_ms
from shared.web.ui.words import Words


@dataclass(frozen=True, slots=True)
class Choice:
    """One option of a form."""

    value: str
    label: str


def hours(duration_ms: int, t: Words) -> str:
    """``24``, or ``0.5``."""
    found = duration_ms / 3_600_000
    return t.number(found, 0 if found == int(found) else 1)


def moment(at_ms: int | None) -> datetime | None:
    return None if at_ms is None else from_ms(at_ms)


def reason(record: SessionRecord, t: Words) -> str:
    """The reason in words, with what the engine said; nothing for a session that is well."""
    words = wording.reason(record.reason)
    parts = [t(words)] if words and record.state is not State.READY else []
    if record.detail and record.state not in (State.READY, State.STOPPED):
        parts.append(record.detail)
    if record.attempt and record.state is State.RECONNECTING:
        parts.append(t("attempt {n}", n=record.attempt))
    if record.state is State.TEMP_BANNED and record.banned_until_ms is not None:
        until = moment(record.banned_until_ms)
        parts.append(t("until {when}", when=t.when(until)) if until else "")
    if record.suspicion:
        parts.append(t(wording.reason(record.suspicion)))
    return ", ".join(part for part in dict.fromkeys(parts) if part)


def account(record: SessionRecord) -> str:
    """The telephone number with the name that WhatsApp shows; empty without a linked phone."""
    if record.jid is None:
        return ""
    number = "+" + record.jid.partition("@")[0].partition(":")[0]
    return f"{number} · {record.push_name}" if record.push_name else number


def next_try(record: SessionRecord) -> datetime | None:
    """When a session that waits to connect again does so."""
    waits = record.due is not None and record.due.kind in (DueKind.RETRY, DueKind.BAN_OVER)
    return moment(record.due.at_ms) if waits and record.due is not None else None


@dataclass(frozen=True, slots=True)
class ClientVersion:
    """Sentences about the version that new logins announce to WhatsApp; each may be empty."""

    announced: str
    refused: str
    problem: str


def client_version(facts: VersionFacts, t: Words) -> ClientVersion:
    announced = problem = ""
    if facts.version is not None and facts.source is not None and facts.age_days is not None:
        announced = t("WhatsApp client version {version}, {age}", version=facts.version, age=_age(facts.age_days, t))
        announced += f" · {t(wording.VERSION_SOURCE[facts.source])}"
    if facts.problem_reason is not None:
        why = t(version_problems.says(facts.problem_reason))
        problem = t("Only the engine’s own version can be announced: {why}", why=why)
    return ClientVersion(announced, _refused(facts, t) if facts.outdated else "", problem)


def _refused(facts: VersionFacts, t: Words) -> str:
    # While another version is tried, the announced one is not the refused one.
    version = facts.version if facts.version in facts.refused or not facts.refused else facts.refused[-1]
    if version is None:
        return t("WhatsApp refuses this client version: all logins wait until another one is accepted")
    return t(
        "WhatsApp refuses client version {version}: all logins wait until another one is accepted", version=version
    )


def _age(days: float, t: Words) -> str:
    return t.many(round(days), "{n} day old", "{n} days old") if days >= 1 else t("less than a day old")


@dataclass(frozen=True, slots=True)
class Headline:
    """The head of a session's page."""

    id: str
    name: str
    state: str
    kind: str
    reason: str
    advice: str


def headline(record: SessionRecord, t: Words) -> Headline:
    acts = record.actor is not Actor.NONE and record.state is not State.PAIRING and record.wanted is Wanted.RUN
    acts = acts or open_need(record) is not None
    return Headline(
        id=record.id,
        name=record.name,
        state=t(wording.STATE[record.state]),
        kind=wording.KIND[record.state],
        reason=reason(record, t),
        advice=_advice(record, t) if acts else "",
    )


def _advice(record: SessionRecord, t: Words) -> str:
    need = open_need(record)
    if need is not None:
        return t(ADVICE[need.code].todo)
    words = wording.ADVICE_OF_STATE.get(record.state) or wording.ADVICE.get(record.actor)
    return t(words) if words else ""


@dataclass(frozen=True, slots=True)
class Button:
    verb: str
    label: str
    main: bool = False


def buttons(record: SessionRecord, t: Words) -> list[Button]:
    """What can be done now, the likeliest first."""
    if record.state in LIVE:
        return [Button("restart", t("Restart")), Button("stop", t("Stop"))]
    return [Button("start", t("Start"), main=True)]


@dataclass(frozen=True, slots=True)
class Removal:
    """What unlinking and deleting can do now. ``linked``: there is a phone to unlink."""

    linked: bool
    can_unlink: bool

    @classmethod
    def of(cls, record: SessionRecord) -> Removal:
        return cls(record.jid is not None, record.jid is not None and record.state in LINKED)


@dataclass(frozen=True, slots=True)
class Fact:
    """``moment`` is shown as ``5 s ago``, ``since`` as ``5 s``, both kept fresh; ``value`` as it is."""

    label: str
    value: str = ""
    moment: datetime | None = None
    since: datetime | None = None


def facts(record: SessionRecord, last_frame_ms: int | None, last_inbound_ms: int | None, t: Words) -> list[Fact]:
    found = [Fact(t("In this state for"), since=moment(record.since_ms))]
    if last_frame_ms is not None:
        found.append(Fact(t("Last heard from WhatsApp"), moment=moment(last_frame_ms)))
    if last_inbound_ms is not None:
        found.append(Fact(t("Last message received"), moment=moment(last_inbound_ms)))
    if (at := next_try(record)) is not None:
        found.append(Fact(t("Next try"), moment=at))
    if record.attempt:
        found.append(Fact(t("Attempt"), value=t.number(record.attempt)))
    if record.jid is not None:
        found.append(Fact(t("Account"), value=account(record)))
    found.append(Fact(t("Owner"), value=record.owner))
    found.append(Fact(t("Id"), value=record.id))
    return found


@dataclass(frozen=True, slots=True)
class TransitionLine:
    """One change of state."""

    at: datetime | None
    kind: str
    text: str


def transition(change: Transition, t: Words) -> TransitionLine:
    words = wording.reason(change.reason)
    text = t(wording.STATE[change.to_state]) + (f" – {t(words)}" if words else "")
    return TransitionLine(moment(change.at_ms), wording.KIND[change.to_state], text)

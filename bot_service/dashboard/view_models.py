"""Turns sessions and messages into what the templates print, in the reader's language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from bot_service.dashboard import wording
from bot_service.domain import version_problems
from bot_service.domain.attention import ADVICE, open_need
from bot_service.domain.session_record import SessionRecord, Transition
from bot_service.domain.states import LINKED, LIVE, Actor, State, Wanted
from bot_service.messages.commands import StoredMessage
from bot_service.sessions.client_version import VersionFacts
from shared.clock import from_ms
from shared.web.ui.words import Words

_LONGEST_TEXT = 300
_MOST_NEEDS = 5


@dataclass(frozen=True, slots=True)
class Choice:
    """One option of a form."""

    value: str
    label: str


def moment(at_ms: int | None) -> datetime | None:
    return None if at_ms is None else from_ms(at_ms)


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One line of the list; ``verb`` is the command that is most likely wanted."""

    id: str
    name: str
    owner: str
    state: str
    kind: str
    reason: str
    last_frame: datetime | None
    verb: str
    verb_label: str


def session_row(record: SessionRecord, last_frame_ms: int | None, t: Words) -> SessionRow:
    verb = "stop" if record.state in LIVE else "start"
    return SessionRow(
        id=record.id,
        name=record.name,
        owner=record.owner,
        state=t(wording.STATE[record.state]),
        kind=wording.KIND[record.state],
        reason=reason(record, t),
        last_frame=moment(last_frame_ms),
        verb=verb,
        verb_label=t("Stop") if verb == "stop" else t("Start"),
    )


def reason(record: SessionRecord, t: Words) -> str:
    """The reason in words, with what the engine said; nothing for a session that is well."""
    words = wording.reason(record.reason)
    parts = [t(words)] if words and record.state is not State.READY else []
    if record.state is State.TEMP_BANNED and record.banned_until_ms is not None:
        until = moment(record.banned_until_ms)
        parts.append(t("until {when}", when=t.when(until)) if until else "")
    if record.suspicion:
        parts.append(t(wording.reason(record.suspicion)))
    return ", ".join(part for part in dict.fromkeys(parts) if part)


@dataclass(frozen=True, slots=True)
class NeedRow:
    """A session that needs a person: what happened and what to do."""

    id: str
    name: str
    what: str
    todo: str


@dataclass(frozen=True, slots=True)
class Needs:
    """The first sessions that need a person, and how many there are in sentences."""

    sentence: str
    rows: list[NeedRow]
    more: str


def needs(found: Sequence[tuple[SessionRecord, str]], t: Words) -> Needs:
    """``found`` are sessions with an open need, and the addresses of their pages."""
    rows = []
    for record, _ in found[:_MOST_NEEDS]:
        need = open_need(record)
        if need is not None:
            advice = ADVICE[need.code]
            rows.append(NeedRow(record.id, record.name, t(advice.what), t(advice.todo)))
    left = len(found) - _MOST_NEEDS
    more = t.many(left, "and {n} more", "and {n} more") if left > 0 else ""
    return Needs(t.many(len(found), "{n} session needs a person", "{n} sessions need a person"), rows, more)


@dataclass(frozen=True, slots=True)
class Summary:
    sentence: str
    detail: str


def summary(by_state: Mapping[State, int], t: Words) -> Summary:
    """All sessions in one sentence, then the states of those that are not ready."""
    total = sum(by_state.values())
    if total == 0:
        return Summary(t("No session yet"), t("A session is one WhatsApp account linked to this service."))
    ready = by_state.get(State.READY, 0)
    if ready == total:
        sentence = t.many(total, "{n} session, ready", "All {n} sessions are ready")
    else:
        sentence = t.many(
            ready, "{n} of {total} sessions is ready", "{n} of {total} sessions are ready", total=t.number(total)
        )
    others = [
        f"{t.number(count)} {t(wording.STATE[state]).lower()}"
        for state, count in by_state.items()
        if count and state is not State.READY
    ]
    return Summary(sentence, " · ".join(others))


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


def may_logout(record: SessionRecord) -> bool:
    return record.state in LINKED or record.jid is None


@dataclass(frozen=True, slots=True)
class Fact:
    """``moment`` is shown as an age and kept fresh, ``value`` as it is."""

    label: str
    value: str = ""
    moment: datetime | None = None


def facts(record: SessionRecord, last_frame_ms: int | None, last_inbound_ms: int | None, t: Words) -> list[Fact]:
    found = [Fact(t("In this state since"), moment=moment(record.since_ms))]
    if last_frame_ms is not None:
        found.append(Fact(t("Last frame"), moment=moment(last_frame_ms)))
    if last_inbound_ms is not None:
        found.append(Fact(t("Last message in"), moment=moment(last_inbound_ms)))
    if record.due is not None and record.state is State.RECONNECTING:
        found.append(Fact(t("Next try"), moment=moment(record.due.at_ms)))
    if record.jid is not None:
        found.append(Fact(t("Account"), value=record.push_name or record.jid.partition("@")[0].partition(":")[0]))
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


@dataclass(frozen=True, slots=True, repr=False)
class MessageLine:
    direction: str
    who: str
    text: str
    at: datetime | None
    state: str


class _Body(msgspec.Struct, rename="camel"):
    text: str | None = None
    push_name: str | None = None


def message(stored: StoredMessage, t: Words) -> MessageLine:
    body = msgspec.json.decode(stored.body, type=_Body)
    chat, out = stored.chat.partition("@")[0], stored.direction == "out"
    who = t("to {name}", name=chat) if out else t("from {name}", name=body.push_name or chat)
    text = body.text or f"[{stored.type}]"
    if len(text) > _LONGEST_TEXT:
        text = text[:_LONGEST_TEXT] + "…"
    return MessageLine(stored.direction, who, text, moment(stored.at_ms), t(stored.state) if out else "")

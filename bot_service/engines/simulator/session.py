"""One simulated session: its link to the simulated server, and what it receives.

It behaves as the real engine: a failed first connect is reported once and not retried. After a
login the engine reconnects by itself, at once and then 2 s later after every failure. The ends
(logged out, banned, replaced …) are final until the next start.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from bot_service.domain.message import OutgoingMessage
from bot_service.domain.signals import SignalKind
from bot_service.engines.port import EngineError
from bot_service.engines.simulator import handover
from bot_service.engines.simulator.store import Phone, ServerQueue
from bot_service.engines.simulator.world import World, digits_of

REMEMBERED_SENDS = 1000


class Link(StrEnum):
    """The state of the connection."""

    OFF = "off"
    CONNECTING = "connecting"
    PAIRING = "pairing"
    ONLINE = "online"
    HALF = "half"  # after a stream error: the socket is open, the login has ended
    DEAF = "deaf"  # the event pump ended: connected without events


_LOGGED_IN = frozenset({Link.ONLINE, Link.DEAF})


@dataclass(slots=True, eq=False)
class SimulatedSession:
    """From a start to a stop; what must outlast it is in the world's files."""

    world: World
    name: str
    phone: Phone = field(init=False)
    queue: ServerQueue = field(init=False)
    link: Link = Link.OFF
    pump_at: float | None = None
    attempts: int = 0
    logged_in_once: bool = False
    keepalive_dead: bool = False
    syncing: int | None = None
    qr_code: str | None = None
    pairing_code: str | None = None
    receipts: dict[str, bool] = field(default_factory=lambda: {"delivered": True, "read": True})
    marks: list[dict[str, Any]] = field(default_factory=list)
    typing_state: str | None = None
    presence: str = "unavailable"
    follows: set[str] = field(default_factory=set)
    rejected: list[dict[str, str]] = field(default_factory=list)
    people: dict[str, str | None] = field(default_factory=dict)
    """Who wrote since the start, with what they call themselves."""
    known_chats: set[str] = field(default_factory=set)
    """Chats that wrote since the start; a time lock does not apply to them."""
    _sent: deque[OutgoingMessage] | None = None
    _epoch: int = 0

    def __post_init__(self) -> None:
        self.phone = self.world.files.load_phone(self.name)
        self.queue = ServerQueue(self.world.files, self.name)

    def report(self, kind: SignalKind, **data: Any) -> None:
        self.world.sink.signal(self.name, kind, data)

    def later(self, delay_ms: float, call: Callable[[], object]) -> None:
        """Calls ``call`` unless the link has changed by then."""
        self.world.timers.after(delay_ms / 1000, self._if_still, self._epoch, call)

    def set_link(self, link: Link) -> None:
        """Changes the link; cancels what was planned for the old one."""
        if self.world.options.record_links and (link in _LOGGED_IN) is not (self.link in _LOGGED_IN):
            now_s = self.world.clock.monotonic()
            self.world.files.record_link(self.name, now_s, begins=link in _LOGGED_IN)
        self.link = link
        self._epoch += 1
        self.pump_at = None
        self.keepalive_dead = False
        self.syncing = None
        if link is not Link.PAIRING:
            self.qr_code = self.pairing_code = None

    @property
    def sent(self) -> deque[OutgoingMessage]:
        """The last messages that it sent, over restarts; read from disk on first use."""
        if self._sent is None:
            self._sent = self.world.files.load_sent(self.name, REMEMBERED_SENDS)
        return self._sent

    def condition(self, name: str) -> dict[str, Any] | None:
        return self.phone.condition(name, self.world.now_ms())

    def set_condition(self, name: str, **data: Any) -> None:
        self.phone.conditions[name] = {"madeMs": self.world.now_ms(), **data}
        self.world.files.save_phone(self.name, self.phone)

    def clear_condition(self, name: str) -> None:
        if self.phone.conditions.pop(name, None) is not None:
            self.world.files.save_phone(self.name, self.phone)

    def require_online(self) -> None:
        """Raises :class:`EngineError` when the server cannot be reached now."""
        if self.link not in (Link.ONLINE, Link.DEAF):
            raise EngineError("not_connected", f"the link is {self.link.value}", retryable=True)
        if self.keepalive_dead:
            raise EngineError("timeout", "the server did not answer", retryable=True)

    # --- the link ---

    def connect(self) -> None:
        """Dials; the result comes as a signal."""
        self.set_link(Link.CONNECTING)
        self.report(SignalKind.CONNECTING)
        self.later(self._connect_ms(), self._login)

    def reconnect(self) -> None:
        """The engine's own reconnect after a lost link."""
        self.set_link(Link.CONNECTING)
        self.later(self._connect_ms() + self.attempts * self.world.options.reconnect_ms, self._login)

    def lose_link(self, reason: str) -> None:
        """The socket closed: reports it, and the engine reconnects."""
        self.attempts = 0
        self.report(SignalKind.DISCONNECTED, reason=reason)
        self.reconnect()

    def end(self, kind: SignalKind, **data: Any) -> None:
        """A final signal: the engine does not reconnect."""
        self.set_link(Link.OFF)
        self.report(kind, **data)

    def stop(self) -> None:
        self.set_link(Link.OFF)
        self.queue.close()
        self.world.files.release(self.world.files.sent_path(self.name))
        number = digits_of(self.phone.jid or "")
        if self.world.numbers.get(number) is self:
            del self.world.numbers[number]

    def _refusal(self) -> tuple[SignalKind, dict[str, Any]] | None:
        """The server's final answer to a login, when it has one."""
        if not self.phone.linked or self.condition("loggedOut") is not None:
            return SignalKind.LOGGED_OUT, {"code": 401, "onConnect": True}
        if self.condition("primaryGone") is not None:
            return SignalKind.PRIMARY_GONE, {"code": 403}
        if self.condition("banned") is not None:
            return SignalKind.BANNED, {"code": 406}
        if ban := self.condition("tempBanned"):
            left_ms = max(0, ban["untilMs"] - self.world.now_ms())
            return SignalKind.TEMP_BANNED, {"code": ban["code"], "expiresInMs": left_ms}
        if outdated := self.condition("outdated"):
            return SignalKind.OUTDATED, {"code": outdated["code"]}
        if refused := self.condition("connectRefused"):
            return SignalKind.CONNECT_REFUSED, {"code": refused["code"]}
        return None

    def _login(self) -> None:
        if self.condition("offline"):
            if self.logged_in_once:
                self._try_again()
            else:
                self.end(SignalKind.CONNECT_ERROR, reason="no route to the server")
            return
        if unavailable := self.condition("unavailable"):
            self.report(SignalKind.SERVER_UNAVAILABLE, code=unavailable["code"])
            self._try_again()
            return
        if (refusal := self._refusal()) is not None:
            self.end(refusal[0], **refusal[1])
        else:
            self._online()

    def _try_again(self) -> None:
        self.attempts += 1
        self.reconnect()

    def _online(self) -> None:
        self.set_link(Link.ONLINE)
        self.attempts, self.logged_in_once = 0, True
        self._end_silence()
        self.world.numbers[digits_of(self.phone.jid or "")] = self
        self.world.sink.frame_seen(self.name)
        self.report(SignalKind.CONNECTED)
        if poison := self.condition("poison"):
            self.later(poison["everyMs"], self.poisoned)
        first = self.queue.first
        if first is not None and first.wait_ms(self.world.now_ms()) == 0 and not self.condition("silence"):
            self.syncing = 0
            self.report(SignalKind.OFFLINE_SYNC_PREVIEW, messages=len(self.queue))
        else:
            self.report(SignalKind.OFFLINE_SYNC_COMPLETED, count=0)
        handover.pump(self)

    def _end_silence(self) -> None:
        silence = self.condition("silence")
        if silence is None:
            return
        another_process = silence["heals"] == "worker" and silence["pid"] != os.getpid()
        fresh_process = silence["heals"] == "fresh" and self.world.born_ms > silence["atMs"]
        if silence["heals"] == "reconnect" or another_process or fresh_process:
            self.clear_condition("silence")

    def poisoned(self) -> None:
        poison = self.condition("poison")
        if poison is None or self.link is not Link.ONLINE:
            return
        left = poison.get("times")
        if left == 1:
            self.clear_condition("poison")
        elif left is not None:
            self.set_condition("poison", **{**poison, "times": left - 1})
        self.stream_error(poison["signature"])

    def stream_error(self, signature: str) -> None:
        """A stream error without a known code: ends the login, and the socket a second later."""
        self.set_link(Link.HALF)
        self.report(SignalKind.STREAM_ERROR, signature=signature)
        self.later(1000, lambda: self.lose_link("stream closed by the server"))

    # --- receiving (see handover.py) ---

    @property
    def receives(self) -> bool:
        """Whether the server can deliver now."""
        return self.link is Link.ONLINE and not self.keepalive_dead and self.condition("silence") is None

    def _if_still(self, epoch: int, call: Callable[[], object]) -> None:
        if epoch == self._epoch:
            call()

    def _connect_ms(self) -> float:
        chance = self.world.random_for(self.name, "connect", self.attempts, self._epoch)
        return self.world.options.connect_ms * chance.uniform(0.5, 1.5)

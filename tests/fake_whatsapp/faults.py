"""What can go wrong on purpose. One object per server; a reset puts the healthy values back."""

from __future__ import annotations

from dataclasses import dataclass, field

Attrs = dict[str, str]


@dataclass(slots=True)
class Faults:
    """Sets hold telephone numbers; the word `all` in one means everybody.

    `ignore_pings`: pings stay unanswered. `silent`: acks and pings are answered but nothing is delivered, until removed.
    `silent_logins`: the same, but only for so many more logins per number. `half_dead`: the socket stays open and nothing is read or
    sent. `no_message_ack`: sent messages are swallowed. `lost_acks`: they arrive, only the answer is lost. `latency_ms`: every frame to the client waits so long.
    `login_failures`: one failure per login attempt until the list is empty (`forever` keeps the last).
    `refuse_proxy`: CONNECT is answered 403. `hold_handshake`: the hello is never answered. `reject_sends`: error code of the ack.
    `spoiled`: devices (`number:device`) that can read nothing before they ask for it again.
    `hasty`: a stream that ends is closed at once, perhaps before the client has read why.
    """

    ignore_pings: set[str] = field(default_factory=set)
    silent: set[str] = field(default_factory=set)
    silent_logins: dict[str, int] = field(default_factory=dict)
    half_dead: set[str] = field(default_factory=set)
    no_message_ack: set[str] = field(default_factory=set)
    lost_acks: set[str] = field(default_factory=set)
    reject_sends: dict[str, int] = field(default_factory=dict)
    login_failures: dict[str, list[Attrs]] = field(default_factory=dict)
    forever: set[str] = field(default_factory=set)
    latency_ms: int = 0
    refuse_proxy: bool = False
    hold_handshake: bool = False
    break_media: bool = False
    hasty: bool = False
    spoiled: set[str] = field(default_factory=set)

    @staticmethod
    def hits(numbers: set[str], number: str) -> bool:
        """Whether a fault of this kind concerns the number."""
        return number in numbers or "all" in numbers

    def next_login_failure(self, number: str) -> Attrs | None:
        """The failure that this login attempt meets, if any."""
        planned = self.login_failures.get(number) or self.login_failures.get("all")
        if not planned:
            return None
        if number in self.forever or "all" in self.forever:
            return planned[-1] if len(planned) == 1 else planned.pop(0)
        return planned.pop(0)

    def begins_silent(self, number: str) -> bool:
        """Whether a connection that logs in now gets nothing delivered (counts down `silent_logins`)."""
        left = self.silent_logins.get(number, 0)
        if left > 0:
            self.silent_logins[number] = left - 1
        return left > 0

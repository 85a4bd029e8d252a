"""Sends and decryptions of one session take turns, so that no send falls between the start of a message and its journal entry.

A ratchet may go back after a kill only when nothing was sent on it meanwhile. Not safe for threads by itself: its owner holds a lock.
"""

from __future__ import annotations


class SendTurn:
    """One send of ours, from before its keys are used until all its changes are in the store."""


class TurnTaking:
    """Who may go now. After a decryption a send that waits comes first, and after a send a decryption that waits."""

    def __init__(self) -> None:
        self.sends_waiting = self.decryptions_waiting = 0
        self._send: SendTurn | None = None
        self._send_was_last = False

    @property
    def is_sending(self) -> bool:
        return self._send is not None

    def send_may_begin(self) -> bool:
        return self._send is None and not (self.decryptions_waiting and self._send_was_last)

    def begin_send(self, turn: SendTurn) -> None:
        self._send, self._send_was_last = turn, True

    def end_send(self, turn: SendTurn) -> bool:
        """False when it did not have the turn, or has it no more."""
        if self._send is not turn:
            return False
        self._send = None
        return True

    def decryption_may_begin(self) -> bool:
        return self._send is None and not (self.sends_waiting and not self._send_was_last)

    def begin_decryption(self) -> None:
        """A send that did not end in time has lost its turn."""
        self._send, self._send_was_last = None, False

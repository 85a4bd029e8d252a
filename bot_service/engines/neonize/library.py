"""The native library with types: every call that this engine makes.

Calls block and belong on threads. They raise `LibraryError` with the library's text, which may hold
telephone numbers: redact it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bot_service.engines.neonize.native import binder, pb, registration

# The numbers are the contract of neonize/events.py.
ME, PAIR_STATUS, CONNECTED, KEEPALIVE_TIMEOUT, KEEPALIVE_RESTORED = 0, 2, 3, 4, 5
DISCONNECTED, MESSAGE, RECEIPT, CHAT_PRESENCE, SYNC_PREVIEW, SYNC_COMPLETED, UNDECRYPTABLE = 12, 17, 18, 19, 26, 27, 44
LOGGED_OUT, PRESENCE, CALL_OFFER, CALL_OFFER_NOTICE = 6, 20, 36, 40
JOINED_GROUP, GROUP_INFO = 21, 22
TYPES: dict[int, Any] = {
    ME: pb.Device,
    PAIR_STATUS: pb.PairStatus,
    CONNECTED: pb.Connected,
    KEEPALIVE_TIMEOUT: pb.KeepAliveTimeout,
    KEEPALIVE_RESTORED: pb.KeepAliveRestored,
    LOGGED_OUT: pb.LoggedOut,
    DISCONNECTED: pb.Disconnected,
    MESSAGE: pb.Message,
    RECEIPT: pb.Receipt,
    CHAT_PRESENCE: pb.ChatPresence,
    PRESENCE: pb.Presence,
    JOINED_GROUP: pb.JoinedGroup,
    GROUP_INFO: pb.GroupInfoEvent,
    CALL_OFFER: pb.CallOffer,
    CALL_OFFER_NOTICE: pb.CallOfferNotice,
    SYNC_PREVIEW: pb.OfflineSyncPreview,
    SYNC_COMPLETED: pb.OfflineSyncCompleted,
    UNDECRYPTABLE: pb.UndecryptableMessage,
}
SUBSCRIBED = bytes(number for number in TYPES if number != ME)
UPLOAD_KINDS = {"image": 0, "sticker": 0, "video": 1, "audio": 2, "document": 3}
TYPING = {"composing": (0, 0), "recording": (0, 1), "paused": (1, 0)}
READ = b"read"


class LibraryError(Exception):
    """The library answered with an error."""


@dataclass(frozen=True, slots=True)
class Callbacks:
    """Called on a thread of the library, which waits until they return.

    `line(logger, level, text)` is every line of its log, `event(number, message)` every subscribed
    event, `code(text)` each QR code, `login(word)` the end of the QR codes.
    """

    line: Callable[[str, str, str], None]
    event: Callable[[int, Any], None]
    code: Callable[[str], None]
    login: Callable[[str], None]


class Library:
    """The loaded library. One per process, because the library itself is."""

    def __init__(self) -> None:
        self._go = binder.gocode
        # The binding forgot this one: without it the answer is a pointer that is never freed.
        self._go.DecryptPollVote.errcheck = self._go.SendMessage.errcheck
        self._ignore_device = binder.func_callback_bytes2(lambda _data, _size: None)
        self._relays: list[_Relay] = []
        self._current: dict[bytes, _Relay] = {}
        self._properties: bytes = registration.DeviceProps(
            os="Veilleur", platformType=registration.DeviceProps.DESKTOP
        ).SerializeToString()

    def make_tables(self, dsn: str) -> None:
        """The library's tables in a database, in its newest form."""
        # Its answers are the devices, which are of no use here.
        raise_error(self._go.GetAllDevices(dsn.encode(), self._ignore_device))

    def run(
        self, client: bytes, dsn: str, proxy: str | None, callbacks: Callbacks, *, jid: bytes = b"", new: bool = False
    ) -> None:
        """Connects and pumps events until :meth:`stop`. Raises when one of them fails.

        ``jid`` is a device of a store with several, ``new`` adds one; otherwise it is the first one.
        """
        relay = _Relay(callbacks)
        self._relays.append(relay)
        self._current[client] = relay
        numbers = bytearray(SUBSCRIBED)  # read before the connect, so it may go with this call
        subscribed = (ctypes.c_char * len(numbers)).from_buffer(numbers)
        settings = binder.ProxySettings(proxy)._to_c_struct() if proxy else None
        error: bytes = self._go.Neonize(
            dsn.encode(),
            client,
            jid,
            len(jid),
            int(new),
            b"DEBUG",
            *relay.functions,
            subscribed,
            len(numbers),
            self._properties,
            len(self._properties),
            b"",
            0,
            ctypes.byref(settings) if settings is not None else None,
        )
        raise_error(error)

    def stop(self, client: bytes) -> None:
        """Removes the client; its :meth:`run` returns. Harmless for an unknown client."""
        self._go.Stop(client)
        relay = self._current.pop(client, None)
        if relay is not None:
            relay.target = None

    def disconnect(self, client: bytes) -> None:
        """The pump goes on. The process dies if the client is unknown."""
        self._go.Disconnect(client)

    def logout(self, client: bytes) -> None:
        raise_error(self._go.Logout(client))

    def show_as_active(self, client: bytes) -> None:
        """Delivery receipts count as delivered, although no chat is open."""
        self._go.SetForceActiveDeliveryReceipts(client, True)

    def pairing_code(self, client: bytes, phone: str) -> str:
        """Eight letters with a dash, to be typed into the phone."""
        request = pb.PairPhoneParams(
            phone=phone, showPushNotification=True, clientType=1, clientDisplayName="Chrome (Linux)"
        ).SerializeToString()
        answer = read_answer(pb.PairPhoneReturnFunction, self._go.PairPhone(client, request, len(request)))
        return str(answer.Code)

    def send(self, client: bytes, to: Any, message: Any) -> int:
        """The server's time in seconds once it took the message."""
        target, body = to.SerializeToString(), message.SerializeToString()
        raw = self._go.SendMessage(client, target, len(target), body, len(body))
        return int(read_answer(pb.SendMessageReturnFunction, raw).SendResponse.Timestamp)

    def upload(self, client: bytes, data: bytes, kind: str) -> Any:
        """Uploads a file to the media host; returns the `UploadResponse`."""
        raw = self._go.Upload(client, data, len(data), UPLOAD_KINDS[kind])
        return read_answer(pb.UploadReturnFunction, raw).UploadResponse

    def download(self, client: bytes, message: Any) -> bytes:
        body = message.SerializeToString()
        return bytes(read_answer(pb.DownloadReturnFunction, self._go.DownloadAny(client, body, len(body))).Binary)

    def poll_vote(self, client: bytes, event: Any) -> list[bytes]:
        """The SHA-256 of each option that the vote in a message event chooses."""
        body = event.SerializeToString()
        answer = read_answer(pb.ReturnFunctionWithError, self._go.DecryptPollVote(client, body, len(body)))
        return list(answer.PollVoteMessage.selectedOptions)

    def mark_read(self, client: bytes, ids: list[str], at_s: int, chat: Any, sender: Any) -> None:
        where, who = chat.SerializeToString(), sender.SerializeToString()
        names = " ".join(ids).encode()
        raise_error(self._go.MarkRead(client, names, at_s, where, len(where), who, len(who), READ))

    def typing(self, client: bytes, chat: Any, state: str) -> None:
        where = chat.SerializeToString()
        raise_error(self._go.SendChatPresence(client, where, len(where), *TYPING[state]))


class _Relay:
    """The C callbacks. They are small and kept for ever; only their target is released.

    The library may log long after a pump ended or a client was stopped; it would call freed memory.
    """

    def __init__(self, target: Callbacks) -> None:
        self.target: Callbacks | None = target
        self.functions = (
            binder.func_string(self._code),
            binder.func_string(self._login),
            binder.func_callback_bytes(self._event),
            binder.func_callback_bytes2(self._line),
        )

    def _code(self, _: int, text: int) -> None:
        if self.target is not None:
            self.target.code(ctypes.string_at(text).decode())

    def _login(self, _: int, text: int) -> None:
        if self.target is not None:
            self.target.login(ctypes.string_at(text).decode())

    def _event(self, _: bytes, data: int, size: int, number: int) -> None:
        if self.target is not None and number in TYPES:
            self.target.event(number, TYPES[number].FromString(ctypes.string_at(data, size) if size else b""))

    def _line(self, data: int, size: int) -> None:
        if self.target is not None:
            entry = pb.LogEntry.FromString(ctypes.string_at(data, size))
            self.target.line(entry.Name, entry.Level, entry.Message)


def read_answer(kind: Any, raw: bytes) -> Any:
    """An answer of the library; raises :class:`LibraryError`."""
    answer = kind.FromString(raw)
    if answer.Error:
        raise LibraryError(answer.Error)
    return answer


def raise_error(error: bytes | None) -> None:
    """For calls that answer with an error or nothing."""
    if error:
        raise LibraryError(error.decode(errors="replace"))

"""The simulated world on disk: each phone, and the messages that its server holds for it.

Everything is written before it takes effect, so that ``kill -9`` loses nothing: a message that was
offered and not acknowledged is offered again.
"""

from __future__ import annotations

import os
import struct
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote

import msgspec

from bot_service.domain.message import InboundMessage, OutgoingMessage
from bot_service.engines.registry import safe_name

_HEAD = struct.Struct(">Q")
_LENGTH = struct.Struct(">I")
OPEN_QUEUES = 128
LONG_SENT_BYTES = 256 * 1024
M = TypeVar("M")


class Phone(msgspec.Struct, rename="camel"):
    """The phone and account of one session; ``conditions`` are faults that outlast a reconnect."""

    jid: str | None = None
    lid: str | None = None
    push_name: str | None = None
    linked: bool = False
    about: str | None = None
    picture_id: str | None = None
    starred: list[str] = []
    blocked: list[str] = []
    conditions: dict[str, dict[str, Any]] = {}

    def condition(self, name: str, now_ms: int) -> dict[str, Any] | None:
        """The condition while it holds; its ``untilMs`` is the end, if any.

        One with an end is over when the time was moved back since it was made: it would last for
        longer than was asked.
        """
        found = self.conditions.get(name)
        if found is None or found.get("untilMs") is None:
            return found
        return found if found.get("madeMs", 0) <= now_ms < found["untilMs"] else None


class Held(msgspec.Struct, frozen=True):
    """One message at the server, made at ``made_ms`` and sent at ``due_ms`` since the epoch."""

    due_ms: int
    message: InboundMessage
    made_ms: int = 0

    def wait_ms(self, now_ms: int) -> int:
        """Until it is sent; none when the time was moved back since it was made."""
        return 0 if now_ms < self.made_ms else max(0, self.due_ms - now_ms)


def _framed(message: msgspec.Struct) -> bytes:
    body = msgspec.msgpack.encode(message)
    return _LENGTH.pack(len(body)) + body


def _unframed(data: bytes, at: int, kind: type[M]) -> Iterator[tuple[int, M]]:
    """(end, message) of each whole message from byte ``at`` on; the last one may be torn."""
    while at + _LENGTH.size <= len(data):
        stop = at + _LENGTH.size + int(_LENGTH.unpack_from(data, at)[0])
        try:
            message = msgspec.msgpack.decode(data[at + _LENGTH.size : stop], type=kind)
        except msgspec.MsgspecError:
            return
        yield stop, message
        at = stop


def replace_file(path: Path, data: bytes) -> None:
    part = path.with_suffix(".part")
    part.write_bytes(data)
    os.replace(part, path)


class Files:
    """The folder of the simulated world; the number of open queue files is bounded."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.numbers = folder / "numbers"
        self.post = folder / "post"
        for path in (folder, self.numbers, self.post):
            path.mkdir(parents=True, exist_ok=True)
        self._open: OrderedDict[Path, int] = OrderedDict()

    def load_phone(self, session: str) -> Phone:
        try:
            return msgspec.json.decode(self._phone(session).read_bytes(), type=Phone)
        except (FileNotFoundError, msgspec.MsgspecError):
            return Phone()

    def save_phone(self, session: str, phone: Phone) -> None:
        replace_file(self._phone(session), msgspec.json.encode(phone))

    def load_sent(self, session: str, keep: int) -> deque[OutgoingMessage]:
        """The last ``keep`` sent messages, oldest first; older ones are deleted from disk."""
        path = self.sent_path(session)
        data = path.read_bytes() if path.exists() else b""
        sent: deque[OutgoingMessage] = deque(maxlen=keep)
        end = 0
        for end, message in _unframed(data, 0, OutgoingMessage):  # noqa: B007  the last end counts
            sent.append(message)
        if end != len(data) or end > LONG_SENT_BYTES:
            self.release(path)
            replace_file(path, b"".join(map(_framed, sent)))
        return sent

    def remember_sent(self, session: str, message: OutgoingMessage) -> None:
        """Raises ``OSError`` when the disk does not take it."""
        fd = self.descriptor(self.sent_path(session))
        os.lseek(fd, 0, os.SEEK_END)
        os.write(fd, _framed(message))

    def sent_path(self, session: str) -> Path:
        return self.folder / f"{safe_name(session)}.sent"

    def record_link(self, session: str, at_s: float, *, begins: bool) -> None:
        """Which process is logged in with ``session`` since when, for all workers that share this folder."""
        with (self.folder / "links").open("a", encoding="utf-8") as file:
            file.write(f"{session} {os.getpid()} {'begin' if begins else 'end'} {at_s:.3f}\n")

    def register_number(self, digits: str, session: str) -> None:
        """Stores the session of the number ``digits``, for every worker of this folder."""
        (self.numbers / digits).write_text(session, encoding="utf-8")

    def session_of(self, digits: str) -> str | None:
        try:
            return (self.numbers / digits).read_text(encoding="utf-8")
        except (OSError, ValueError):
            return None

    def put_letter(self, session: str, message_id: str, body: bytes) -> None:
        """Leaves a message for a session of another worker."""
        replace_file(self.post / f"{safe_name(session)}.{safe_name(message_id)}.letter", body)

    def letters(self) -> list[tuple[str, Path]]:
        """Messages left for sessions of any worker: (session, file)."""
        with os.scandir(self.post) as found:
            names = [entry.name for entry in found]
        letters = sorted(name for name in names if name.endswith(".letter"))
        return [(unquote(name.partition(".")[0]), self.post / name) for name in letters]

    def descriptor(self, path: Path) -> int:
        """An open descriptor of ``path``; too many close the least recently used one."""
        fd = self._open.pop(path, -1)
        if fd < 0:
            if len(self._open) >= OPEN_QUEUES:
                os.close(self._open.popitem(last=False)[1])
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._open[path] = fd
        return fd

    def release(self, path: Path) -> None:
        fd = self._open.pop(path, -1)
        if fd >= 0:
            os.close(fd)

    def close(self) -> None:
        while self._open:
            os.close(self._open.popitem()[1])

    def _phone(self, session: str) -> Path:
        return self.folder / f"{safe_name(session)}.phone"


class ServerQueue:
    """The messages held for one session, in order, on disk: 8 bytes position, then the messages."""

    __slots__ = ("_end", "_files", "_path", "_waiting")

    def __init__(self, files: Files, session: str) -> None:
        self._files, self._path = files, files.folder / f"{safe_name(session)}.queue"
        self._waiting: deque[tuple[int, Held]] = deque()
        self._end = _HEAD.size
        data = self._path.read_bytes() if self._path.exists() else b""
        if len(data) >= _HEAD.size:
            self._end = int(_HEAD.unpack_from(data)[0])
            for end, held in _unframed(data, self._end, Held):
                self._waiting.append((end, held))
                self._end = end

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def first(self) -> Held | None:
        return self._waiting[0][1] if self._waiting else None

    def hold(self, messages: Sequence[Held]) -> None:
        """Appends ``messages``. Raises ``OSError`` when the disk does not take them."""
        parts = []
        ends = []
        end = self._end
        for held in messages:
            parts.append(_framed(held))
            end += len(parts[-1])
            ends.append(end)
        fd = self._files.descriptor(self._path)
        if self._end == _HEAD.size:
            os.pwrite(fd, _HEAD.pack(_HEAD.size), 0)
        data = b"".join(parts)
        if os.pwrite(fd, data, self._end) != len(data):
            raise OSError("the simulated server's disk is full")
        self._waiting.extend(zip(ends, messages, strict=True))
        self._end = end

    def acknowledge(self) -> None:
        """Removes the first message. Raises ``OSError``; the message is then offered again."""
        end, _ = self._waiting[0]
        fd = self._files.descriptor(self._path)
        os.pwrite(fd, _HEAD.pack(end), 0)
        self._waiting.popleft()
        if not self._waiting:
            os.ftruncate(fd, 0)
            self._end = _HEAD.size

    def close(self) -> None:
        self._files.release(self._path)

"""Encodes and decodes frames, in whatever pieces the bytes arrive. No I/O."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

from bot_service.engines.wire.protocol import LENGTH_BYTES, MAX_FRAME_BYTES, Down, Frame, Up

F = TypeVar("F")

_ENCODER = msgspec.msgpack.Encoder()


class FrameError(Exception):
    """The other side does not speak this protocol; close the connection."""


def encode(frame: Frame) -> bytes:
    """The frame with its length before it. Raises :class:`FrameError` when it is too long."""
    body = _ENCODER.encode(frame)
    if len(body) > MAX_FRAME_BYTES:
        raise FrameError(f"a frame of {len(body)} bytes is longer than the {MAX_FRAME_BYTES} allowed")
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


class FrameDecoder(Generic[F]):
    """Collects bytes; :meth:`feed` gives the frames that are complete."""

    def __init__(self, kinds: Any) -> None:
        self._decoder: msgspec.msgpack.Decoder[F] = msgspec.msgpack.Decoder(kinds)
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[F]:
        """Frames completed by ``data``. Raises :class:`FrameError` on anything that is no frame."""
        buffer = self._buffer
        buffer += data
        frames: list[F] = []
        at = 0
        while len(buffer) - at >= LENGTH_BYTES:
            length = int.from_bytes(buffer[at : at + LENGTH_BYTES], "big")
            if length > MAX_FRAME_BYTES:
                raise FrameError(f"a frame claims {length} bytes")
            stop = at + LENGTH_BYTES + length
            if stop > len(buffer):
                break
            try:
                frames.append(self._decoder.decode(memoryview(buffer)[at + LENGTH_BYTES : stop].tobytes()))
            except msgspec.MsgspecError as error:
                raise FrameError("a frame cannot be read") from error
            at = stop
        del buffer[:at]
        return frames


def down_decoder() -> FrameDecoder[Down]:
    """What a worker reads."""
    return FrameDecoder(Down)


def up_decoder() -> FrameDecoder[Up]:
    """What the API process reads."""
    return FrameDecoder(Up)

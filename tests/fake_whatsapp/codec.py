"""WhatsApp's binary XML: a complete decoder, and an encoder that writes plain strings (which every client must accept)."""

from __future__ import annotations

import functools
import zlib

from pyaileys.wabinary.constants import DOUBLE_BYTE_TOKENS, SINGLE_BYTE_TOKENS

from tests.fake_whatsapp.jid import JID, LID_SERVER, USER_SERVER
from tests.fake_whatsapp.nodes import Attr, Content, Node

SINGLE: tuple[str, ...] = tuple(SINGLE_BYTE_TOKENS)
DOUBLE: tuple[tuple[str, ...], ...] = tuple(tuple(table) for table in DOUBLE_BYTE_TOKENS)

LIST_EMPTY, DICTIONARY_0, DEVICE_JID, LIST_8, LIST_16 = 0, 236, 247, 248, 249
JID_PAIR, HEX_8, BINARY_8, BINARY_20, BINARY_32, NIBBLE_8 = 250, 251, 252, 253, 254, 255
PACKED = {NIBBLE_8: "0123456789-.\0\0\0\0", HEX_8: "0123456789ABCDEF"}
SERVER_OF_DOMAIN = {0: USER_SERVER, 1: LID_SERVER, 128: "hosted", 129: "hosted.lid"}
DOMAIN_OF_SERVER = {server: domain for domain, server in SERVER_OF_DOMAIN.items()}
COMPRESSED = 2


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        piece = self.data[self.at : self.at + size]
        if len(piece) != size:
            raise EOFError("frame ends inside a value")
        self.at += size
        return piece

    def integer(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def list_size(self, tag: int) -> int:
        if tag == LIST_EMPTY:
            return 0
        if tag in (LIST_8, LIST_16):
            return self.integer(tag - LIST_8 + 1)
        raise ValueError(f"{tag} is not a list")

    def node(self) -> Node:
        size = self.list_size(self.integer(1))
        tag = self.text()
        attrs: dict[str, Attr] = {}
        for _ in range((size - 1) // 2):
            name = self.text()
            value = self.value(self.integer(1))
            attrs[name] = value if isinstance(value, JID) else _as_text(value)
        if size % 2:
            return Node(tag, attrs)
        content = self.value(self.integer(1))
        return Node(tag, attrs, str(content) if isinstance(content, JID) else content)

    def text(self) -> str:
        return _as_text(self.value(self.integer(1)))

    def value(self, tag: int) -> JID | Content:
        if tag == LIST_EMPTY:
            return None
        if tag in (LIST_8, LIST_16):
            return [self.node() for _ in range(self.list_size(tag))]
        if tag == BINARY_8:
            return self.take(self.integer(1))
        if tag == BINARY_20:
            return self.take(self.integer(3) & 0xFFFFF)
        if tag == BINARY_32:
            return self.take(self.integer(4))
        if tag == JID_PAIR:
            user = self.text()
            return JID(user, self.text())
        if tag == DEVICE_JID:
            domain, device = self.integer(1), self.integer(1)
            return JID(self.text(), SERVER_OF_DOMAIN.get(domain, USER_SERVER), device)
        if tag in PACKED:
            return self.packed(PACKED[tag])
        if DICTIONARY_0 <= tag < DICTIONARY_0 + len(DOUBLE):
            return DOUBLE[tag - DICTIONARY_0][self.integer(1)]
        if tag < len(SINGLE):
            return SINGLE[tag]
        raise ValueError(f"unknown token {tag}")

    def packed(self, alphabet: str) -> str:
        head = self.integer(1)
        letters = "".join(alphabet[byte >> 4] + alphabet[byte & 15] for byte in self.take(head & 127))
        return letters[:-1] if head & 128 else letters


def _as_text(value: JID | Content) -> str:
    if isinstance(value, bytes):
        return value.decode()
    return "" if value is None else str(value)


def decode(frame: bytes) -> Node:
    """One decrypted frame as an element; a malformed frame raises `ValueError`, `EOFError` or `IndexError`."""
    body = zlib.decompress(frame[1:]) if frame[0] & COMPRESSED else frame[1:]
    return _Reader(body).node()


def _binary(value: bytes) -> bytes:
    size = len(value)
    if size < 256:
        return bytes((BINARY_8, size)) + value
    if size < 1 << 20:
        return bytes((BINARY_20,)) + size.to_bytes(3, "big") + value
    return bytes((BINARY_32,)) + size.to_bytes(4, "big") + value


@functools.lru_cache(4096)
def _string(value: str) -> bytes:
    return _binary(value.encode())


def _list_head(size: int) -> bytes:
    if size == 0:
        return bytes((LIST_EMPTY,))
    return bytes((LIST_8, size)) if size < 256 else bytes((LIST_16,)) + size.to_bytes(2, "big")


def _jid(jid: JID) -> bytes:
    if jid.device and jid.server in DOMAIN_OF_SERVER:
        return bytes((DEVICE_JID, DOMAIN_OF_SERVER[jid.server], jid.device)) + _string(jid.user)
    user = _string(jid.user) if jid.user else bytes((LIST_EMPTY,))
    return bytes((JID_PAIR,)) + user + _string(jid.server)


def _value(value: Attr | list[Node] | bytes) -> bytes:
    if isinstance(value, JID):
        return _jid(value)
    if isinstance(value, list):
        return _list_head(len(value)) + b"".join(map(_node, value))
    return _binary(value) if isinstance(value, bytes) else _string(str(value))


def _node(node: Node) -> bytes:
    parts = [_list_head(1 + 2 * len(node.attrs) + (node.content is not None)), _string(node.tag)]
    for name, value in node.attrs.items():
        parts += [_string(name), _value(value)]
    if node.content is not None:
        parts.append(_value(node.content))
    return b"".join(parts)


def encode(node: Node) -> bytes:
    """One element as an uncompressed frame, ready to be encrypted."""
    return b"\0" + _node(node)

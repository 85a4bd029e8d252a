"""The file of a pairing that left: encrypted with a passphrase, and checked for damage before that.

``veilleur-pairing``, the version, salt, nonce, the encrypted content, and SHA-256 of all of it. The
key is scrypt's, the cipher AES-256 in GCM, which also protects what stands before the content. The
hash needs no key: it distinguishes a damaged file from a wrong passphrase.
"""

from __future__ import annotations

import hashlib
import os
import unicodedata
import zlib

from bot_service.domain.refused import Refused, invalid

MAGIC = b"veilleur-pairing\n"
VERSION = 1
SHORTEST, LONGEST = 12, 1000
# What a file may hold once it is unpacked; its packed size is limited by the body of a request.
LONGEST_CONTENT = 256 * 1024 * 1024
_SALT, _NONCE, _HASH = 16, 12, 32
_HEAD = len(MAGIC) + 1 + _SALT + _NONCE
# 64 MB of memory and about half a second for each guess.
_COST = {"n": 2**16, "r": 8, "p": 2, "maxmem": 128 * 1024 * 1024, "dklen": 32}


def check_passphrase(passphrase: str) -> None:
    """Refused: ``invalid``."""
    if not SHORTEST <= len(passphrase) <= LONGEST:
        raise invalid("passphrase", f"must have {SHORTEST} to {LONGEST} characters")


def seal(content: bytes, passphrase: str) -> bytes:
    """``content`` as a file that ``passphrase`` opens. Blocks for about half a second."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    salt, nonce = os.urandom(_SALT), os.urandom(_NONCE)
    head = MAGIC + bytes([VERSION]) + salt + nonce
    sealed = head + AESGCM(_key(passphrase, salt)).encrypt(nonce, zlib.compress(content), head)
    return sealed + hashlib.sha256(sealed).digest()


def unseal(file: bytes, passphrase: str) -> bytes:
    """What was sealed. Blocks for about half a second.

    Refused: ``invalid`` for ``file`` when it is no such file, damaged, or of a later version, and for
    ``passphrase`` when it does not open the file.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    check_passphrase(passphrase)
    if not file.startswith(MAGIC):
        raise invalid("file", "is not an exported pairing")
    if len(file) <= _HEAD + _HASH or hashlib.sha256(file[:-_HASH]).digest() != file[-_HASH:]:
        raise invalid("file", "is damaged or incomplete: copy it once more from where it was exported")
    head, rest = file[:_HEAD], file[_HEAD:-_HASH]
    if head[len(MAGIC)] != VERSION:
        raise invalid("file", f"has version {head[len(MAGIC)]}: this service reads version {VERSION}")
    salt, nonce = head[len(MAGIC) + 1 : -_NONCE], head[-_NONCE:]
    try:
        packed = AESGCM(_key(passphrase, salt)).decrypt(nonce, rest, head)
    except InvalidTag:
        raise invalid("passphrase", "is not the one with which the file was exported") from None
    return _unpacked(packed)


def _unpacked(packed: bytes) -> bytes:
    unpacking = zlib.decompressobj()
    content = unpacking.decompress(packed, LONGEST_CONTENT)
    if not unpacking.eof:
        raise Refused("too_large", f"the file holds more than {LONGEST_CONTENT} bytes", field="file")
    return content


def _key(passphrase: str, salt: bytes) -> bytes:
    # The same text, whichever keyboard composed its accents.
    text = unicodedata.normalize("NFC", passphrase)
    return hashlib.scrypt(text.encode(), salt=salt, **_COST)

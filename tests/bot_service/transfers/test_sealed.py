"""The file of an exported pairing: what opens it, what does not, and what its reader says about it."""

from __future__ import annotations

import hashlib

import pytest

from bot_service.domain.refused import Refused
from bot_service.transfers.sealed import MAGIC, SHORTEST, seal, unseal

PASSPHRASE = "correct horse battery"
CONTENT = b"identity keys " * 400


def refusal(file: bytes, passphrase: str = PASSPHRASE) -> tuple[str, str | None]:
    with pytest.raises(Refused) as refused:
        unseal(file, passphrase)
    return refused.value.code, refused.value.field


@pytest.fixture(scope="module")
def file() -> bytes:
    return seal(CONTENT, PASSPHRASE)


def test_only_the_passphrase_opens_it(file: bytes) -> None:
    assert unseal(file, PASSPHRASE) == CONTENT
    assert refusal(file, PASSPHRASE.upper()) == ("invalid", "passphrase")
    assert refusal(file, "short") == ("invalid", "passphrase")
    # Nothing of the content is in it, and the same content never gives the same file.
    assert b"identity" not in file
    assert len(seal(CONTENT, PASSPHRASE)) == len(file)
    assert seal(CONTENT, PASSPHRASE)[len(MAGIC) + 1 :] != file[len(MAGIC) + 1 :]


@pytest.mark.parametrize("place", ["magic", "version", "salt", "nonce", "content", "hash"])
def test_a_flipped_bit_anywhere_is_named_as_damage_and_not_as_a_wrong_passphrase(file: bytes, place: str) -> None:
    head = len(MAGIC)
    at = {"magic": 3, "version": head, "salt": head + 4, "nonce": head + 20, "content": len(file) // 2, "hash": -1}[
        place
    ]
    damaged = bytearray(file)
    damaged[at] ^= 4
    assert refusal(bytes(damaged)) == ("invalid", "file")


@pytest.mark.parametrize("length", [0, 5, len(MAGIC), len(MAGIC) + 40, -1, -40])
def test_a_part_of_it_is_refused(file: bytes, length: int) -> None:
    assert refusal(file[:length]) == ("invalid", "file")


def test_a_changed_file_with_a_fresh_hash_does_not_open(file: bytes) -> None:
    changed = bytearray(file[:-32])
    changed[-20] ^= 1
    assert refusal(bytes(changed) + hashlib.sha256(changed).digest()) == ("invalid", "passphrase")


def test_a_file_of_a_later_version_is_named(file: bytes) -> None:
    later = MAGIC + b"\2" + file[len(MAGIC) + 1 : -32]
    with pytest.raises(Refused, match="has version 2"):
        unseal(later + hashlib.sha256(later).digest(), PASSPHRASE)


def test_accents_open_it_however_a_keyboard_composes_them() -> None:
    composed, split = "p\u00e9nultie\u0300me cl\u00e9", "pe\u0301nulti\u00e8me cle\u0301"
    assert len(composed) >= SHORTEST
    assert unseal(seal(CONTENT, composed), split) == CONTENT

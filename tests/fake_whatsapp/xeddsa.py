"""XEdDSA: Ed25519 signatures made and checked with Curve25519 keys, as Signal uses them. For tests only: not constant in time."""

from __future__ import annotations

import functools
import hashlib
import os

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
BASE_Y = 4 * pow(5, P - 2, P) % P
BASE_X = 15112221349535400772501151409588531511454012693041857206046113283949847762202

Point = tuple[int, int, int, int]
NEUTRAL: Point = (0, 1, 1, 0)


def _add(one: Point, two: Point) -> Point:
    a = (one[1] - one[0]) * (two[1] - two[0]) % P
    b = (one[1] + one[0]) * (two[1] + two[0]) % P
    c = 2 * one[3] * two[3] * D % P
    d = 2 * one[2] * two[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


@functools.cache
def _doubles() -> tuple[Point, ...]:
    points = [(BASE_X, BASE_Y, 1, BASE_X * BASE_Y % P)]
    while len(points) < 256:
        points.append(_add(points[-1], points[-1]))
    return tuple(points)


def _times_base(scalar: int) -> Point:
    total = NEUTRAL
    for bit, point in enumerate(_doubles()):
        if scalar >> bit & 1:
            total = _add(total, point)
    return total


def _compress(point: Point) -> bytes:
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _hash(*parts: bytes) -> int:
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little") % ORDER


def sign(private: bytes, message: bytes) -> bytes:
    """A signature of `message` by a 32-byte Curve25519 private key."""
    scalar = int.from_bytes(private, "little") & ~7 & ((1 << 255) - 1) | 1 << 254
    public = _compress(_times_base(scalar))
    if public[31] & 128:
        scalar = -scalar % ORDER
    public = public[:31] + bytes((public[31] & 127,))
    nonce = _hash(b"\xfe" + b"\xff" * 31, scalar.to_bytes(32, "little"), message, os.urandom(64))
    point = _compress(_times_base(nonce))
    challenge = _hash(point, public, message)
    return point + ((nonce + challenge * scalar) % ORDER).to_bytes(32, "little")


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the Curve25519 key made this signature (the sign of the Edwards point rides in the last bit)."""
    u = int.from_bytes(public, "little")
    y = (u - 1) * pow(u + 1, P - 2, P) % P
    edwards = y.to_bytes(32, "little")
    edwards = edwards[:31] + bytes((edwards[31] | signature[63] & 128,))
    try:
        Ed25519PublicKey.from_public_bytes(edwards).verify(signature[:63] + bytes((signature[63] & 127,)), message)
    except InvalidSignature:
        return False
    return True

"""The ratchet and the sender keys of the fake phones hold over many messages, out of order and both ways."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fake_whatsapp import xeddsa
from tests.fake_whatsapp.keys import KeyPair
from tests.fake_whatsapp.sender_keys import OtherSenderKey, OwnSenderKey, SenderKeyError
from tests.fake_whatsapp.signal_session import Bundle, DeviceKeys, Session, SessionError
from tests.support.examples import examples


def bundle_of(keys: DeviceKeys, *, one_time: bool) -> Bundle:
    return Bundle(
        registration_id=keys.registration_id,
        identity=keys.identity.public,
        signed_prekey_id=1,
        signed_prekey=keys.signed_prekey.public,
        prekey_id=1 if one_time else None,
        prekey=keys.prekey.public if one_time else None,
    )


def pair(*, one_time: bool = True) -> tuple[Session, Session]:
    alice, bob = DeviceKeys(), DeviceKeys()
    session = Session(alice)
    session.begin(bundle_of(bob, one_time=one_time))
    return session, Session(bob)


@pytest.mark.parametrize("one_time", [True, False])
def test_a_session_opens_with_and_without_a_one_time_prekey(one_time: bool) -> None:
    alice, bob = pair(one_time=one_time)
    kind, envelope = alice.seal(b"hello")
    assert kind == "pkmsg"
    assert bob.open(kind, envelope) == b"hello"
    kind, envelope = bob.seal(b"hi")
    assert kind == "msg"
    assert alice.open(kind, envelope) == b"hi"
    assert alice.seal(b"again")[0] == "msg"


@settings(max_examples=examples(10))
@given(st.integers(0, 2**32))
def test_a_long_talk_both_ways_out_of_order_is_read_completely(seed: int) -> None:
    chance = random.Random(seed)
    sides = pair()
    kind, envelope = sides[0].seal(b"0")
    sides[1].open(kind, envelope)
    waiting: list[tuple[int, bytes, str, bytes]] = []
    for number in range(60):
        sender = chance.randrange(2)
        text = f"{sender} {number}".encode()
        waiting.append((1 - sender, text, *sides[sender].seal(text)))
        chance.shuffle(waiting)
        while waiting and chance.random() < 0.5:
            reader, expected, kind, envelope = waiting.pop()
            assert sides[reader].open(kind, envelope) == expected
    for reader, expected, kind, envelope in waiting:
        assert sides[reader].open(kind, envelope) == expected


def test_a_message_is_read_only_once_and_a_changed_one_never() -> None:
    alice, bob = pair()
    kind, envelope = alice.seal(b"once")
    broken = envelope[:-1] + bytes((envelope[-1] ^ 1,))
    bob.open(kind, envelope)
    with pytest.raises(SessionError):
        bob.open(kind, envelope)
    with pytest.raises((SessionError, ValueError)):
        bob.open("msg", broken)


def test_both_sides_open_a_session_at_once_and_still_understand_each_other() -> None:
    alice_keys, bob_keys = DeviceKeys(), DeviceKeys()
    alice, bob = Session(alice_keys), Session(bob_keys)
    alice.begin(bundle_of(bob_keys, one_time=True))
    bob.begin(bundle_of(alice_keys, one_time=True))
    from_alice, from_bob = alice.seal(b"a"), bob.seal(b"b")
    assert bob.open(*from_alice) == b"a"
    assert alice.open(*from_bob) == b"b"
    for number in range(5):
        assert bob.open(*alice.seal(b"%d" % number)) == b"%d" % number
        assert alice.open(*bob.seal(b"%d" % number)) == b"%d" % number


def test_a_sender_key_is_read_from_its_distribution_on_and_each_message_once() -> None:
    own = OwnSenderKey()
    own.seal(b"before")
    other = OtherSenderKey(own.distribution())
    one, two = own.seal(b"one"), own.seal(b"two")
    assert other.open(two) == b"two"
    assert other.open(one) == b"one"
    with pytest.raises(SenderKeyError):
        other.open(one)
    with pytest.raises(SenderKeyError):
        other.open(two[:-1] + bytes((two[-1] ^ 1,)))
    with pytest.raises(SenderKeyError):
        other.open(OwnSenderKey().seal(b"stranger"))


@settings(max_examples=examples(5))
@given(st.binary(max_size=200))
def test_a_signature_verifies_and_a_changed_message_does_not(message: bytes) -> None:
    key = KeyPair()
    signature = key.sign(message)
    assert xeddsa.verify(key.public, message, signature)
    assert not xeddsa.verify(key.public, message + b"x", signature)

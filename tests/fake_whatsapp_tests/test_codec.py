"""What the encoder writes the decoder reads back, and tokens of a real client are understood."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fake_whatsapp import codec
from tests.fake_whatsapp.jid import JID, SERVER, group_jid, lid_jid, phone_jid
from tests.fake_whatsapp.nodes import Node
from tests.support.examples import examples

words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)
jids = st.sampled_from(
    [SERVER, phone_jid("4917000"), phone_jid("4917000", 7), lid_jid("4917000", 3), group_jid("12-3")]
)
attrs = st.dictionaries(words, words | jids, max_size=4)
nodes = st.recursive(
    st.builds(Node, words, attrs, st.none() | st.binary(min_size=1, max_size=400)),
    lambda inner: st.builds(Node, words, attrs, st.lists(inner, min_size=1, max_size=3)),
    max_leaves=8,
)


@settings(max_examples=examples(50))
@given(nodes)
def test_an_element_survives_the_wire(node: Node) -> None:
    assert codec.decode(codec.encode(node)) == node


def test_a_compressed_frame_is_understood() -> None:
    node = Node("iq", {"id": "1", "to": SERVER}, [Node("ping")])
    plain = codec.encode(node)
    assert codec.decode(b"\x02" + zlib.compress(plain[1:])) == node


def test_packed_numbers_and_tokens_are_understood() -> None:
    token = codec.SINGLE.index("message")
    frame = bytes((0, 248, 3, token, codec.SINGLE.index("id"), 255, 0x82, 0x12, 0x3F))
    assert codec.decode(frame) == Node("message", {"id": "123"})


def test_a_frame_that_ends_too_early_is_an_error() -> None:
    with pytest.raises(EOFError):
        codec.decode(codec.encode(Node("a", {"b": "c"}))[:-1])


def test_addresses_print_as_whatsapp_writes_them() -> None:
    assert str(phone_jid("4917", 2)) == "4917:2@s.whatsapp.net"
    assert str(SERVER) == "s.whatsapp.net"
    assert JID("94917", "lid").number == "4917"

"""Reads the position of the sending chain from a stored Signal session."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec


class _ChainKey(msgspec.Struct, rename="pascal"):
    index: int = 0


class _SenderChain(msgspec.Struct, rename="pascal"):
    sender_ratchet_key_public: str = ""
    chain_key: _ChainKey | None = None


class _State(msgspec.Struct, rename="pascal"):
    sender_chain: _SenderChain | None = None


class _Record(msgspec.Struct, rename="pascal"):
    session_state: _State


# Made at import: several threads read records (decision 0132).
_RECORD = msgspec.json.Decoder(_Record)


@dataclass(frozen=True, slots=True)
class SendingChain:
    """`key` changes with every ratchet step, `index` grows with every message sent."""

    key: str
    index: int


def sending_chain(record: bytes) -> SendingChain:
    """The sending chain of a session record. Raises ``ValueError`` when the record is not one."""
    try:
        chain = _RECORD.decode(record).session_state.sender_chain
    except msgspec.MsgspecError as error:
        raise ValueError("not a session record") from error
    if chain is None or not chain.sender_ratchet_key_public:
        raise ValueError("a session record without a sending chain")
    return SendingChain(chain.sender_ratchet_key_public, chain.chain_key.index if chain.chain_key else 0)


def only_received(before: bytes | None, after: bytes) -> bool:
    """Whether nothing was sent between two states of a session; `before` None: it is new."""
    now = sending_chain(after)
    if before is None:
        return now.index == 0
    was = sending_chain(before)
    return now.index == was.index if now.key == was.key else now.index == 0

"""Drives the receipt gate by the library's log: the next decryption, the next receipt.

The library waits until a line is taken, so the gate holds it by not returning.
"""

from __future__ import annotations

from bot_service.engines.neonize import log_lines
from bot_service.engines.neonize.receipt_gate import ReceiptGate


def of_client(gate: ReceiptGate, text: str) -> None:
    """A line of `Client`: what the library does with a message."""
    if text.startswith(log_lines.DECRYPTING):
        gate.before_decrypt()
    elif (ignored := log_lines.ignored_message(text)) is not None:
        gate.part_handled(ignored)
    elif (unreadable := log_lines.unreadable_message(text)) is not None:
        if log_lines.names_store(text):
            gate.store_failed(text)
        gate.unreadable(unreadable)
    elif log_lines.is_passed_over(text):
        gate.passed_over()


def of_frame_out(gate: ReceiptGate, text: str) -> None:
    """A line of `Client/Send`: the frame leaves once this returns."""
    if text.startswith("<receipt "):
        stanza = log_lines.parse(text)
        kind = stanza.attrs.get("type") if stanza is not None else None
        if stanza is not None and kind == "retry":
            gate.before_other_frame()
            gate.asked_again(stanza.id)
        elif stanza is not None and kind not in ("read", "played"):
            gate.before_receipt(stanza.ids)
    elif text.startswith('<ack class="message"'):
        stanza = log_lines.parse(text)
        gate.before_other_frame()
        if stanza is not None and "error" not in stanza.attrs:
            gate.before_ack(stanza.id)
    elif text.startswith('<ack class="receipt"'):
        # Receipts of sent messages are not kept while the store fails: the server says them again.
        gate.before_other_frame()

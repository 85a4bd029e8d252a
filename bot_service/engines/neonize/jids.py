"""Translates WhatsApp addresses between the library and the rest of this program."""

from __future__ import annotations

from typing import Any

from bot_service.engines.neonize.native import pb

USER_SERVER = "s.whatsapp.net"
HIDDEN_SERVER = "lid"
GROUP_SERVER = "g.us"


def to_library(text: str, *, keep_device: bool = False) -> Any:
    """From a telephone number or `user[:device]@server`. Raises `ValueError`."""
    user, at, server = text.partition("@")
    if not at:
        user, server = "".join(letter for letter in user if letter.isdigit()), USER_SERVER
    user, _, device = user.partition(":")
    if not user or not server or any(letter.isspace() for letter in user):
        raise ValueError("no such address")
    number = int(device) if keep_device and device else 0
    return pb.JID(User=user, Server=server, Device=number, RawAgent=0, Integrator=0, IsEmpty=False)


def empty() -> Any:
    """The empty address."""
    return pb.JID(User="", Server="", Device=0, RawAgent=0, Integrator=0, IsEmpty=True)


def to_text(jid: Any, *, with_device: bool = False) -> str:
    """`user@server`, with `:device` only when asked for; empty for the empty address."""
    if not jid.User and not jid.Server:
        return ""
    device = f":{jid.Device}" if with_device and jid.Device else ""
    return f"{jid.User}{device}@{jid.Server}" if jid.User else str(jid.Server)


def hidden(jid: Any, other: Any) -> str | None:
    """The hidden address of an account with two; None when neither is."""
    return next((to_text(each) for each in (jid, other) if each.User and each.Server == HIDDEN_SERVER), None)


def known_by_number(jid: Any, other: Any) -> str:
    """The telephone address of an account with two, else the only one."""
    if jid.Server == HIDDEN_SERVER and other.User and other.Server == USER_SERVER:
        return to_text(other)
    return to_text(jid)

"""Reads names and telephone numbers from contact cards (vCard 2.1, 3.0 and 4.0)."""

from __future__ import annotations

import quopri
import re

from bot_service.domain.message import Contact

_FOLD = re.compile(r"\r?\n[ \t]")
_SOFT_BREAK = re.compile(r"=\r?\n")
_PARAMETER = re.compile(r';((?:[^;:"]|"[^"]*")*)')
_NAME = re.compile(r"(?:[A-Za-z0-9-]+\.)?([A-Za-z-]+)")
_EXTENSION = re.compile(r";ext=.*|(?:ext\.?|x)\s*\d+\s*$", re.IGNORECASE)
_ESCAPED = re.compile(r"\\([nN,;:\\])")
_DIGITS = frozenset("0123456789")
LONGEST_CARD = 64 * 1024


def read(card: str, shown_name: str = "") -> Contact:
    """The person of a card. ``shown_name``, where given, is the name that WhatsApp shows."""
    name, structured, phones = shown_name.strip(), "", []
    for key, parameters, value in _lines(card[:LONGEST_CARD]):
        if key == "FN" and not name:
            name = _unescaped(value)
        elif key == "N" and not structured:
            structured = _person(value)
        elif key == "TEL" and (digits := _digits(parameters, value)) and digits not in phones:
            phones.append(digits)
    return Contact(name or structured or None, tuple(phones))


def _lines(card: str) -> list[tuple[str, list[str], str]]:
    """Name, parameters and value of each property; names in capitals, without their group."""
    if "QUOTED-PRINTABLE" in card.upper():
        card = _SOFT_BREAK.sub("", card)
    found = []
    for line in _FOLD.sub("", card).splitlines():
        start = _NAME.match(line)
        if start is None:
            continue
        parameters, at = [], start.end()
        while (parameter := _PARAMETER.match(line, at)) is not None:
            parameters.append(parameter[1].strip())
            at = parameter.end()
        if line[at : at + 1] != ":":
            continue
        found.append((start[1].upper(), parameters, _decoded(parameters, line[at + 1 :])))
    return found


def _decoded(parameters: list[str], value: str) -> str:
    names = {parameter.upper() for parameter in parameters}
    if names & {"ENCODING=QUOTED-PRINTABLE", "QUOTED-PRINTABLE"}:
        charset = next((name[8:] for name in names if name.startswith("CHARSET=")), "utf-8")
        try:
            return quopri.decodestring(value.encode()).decode(charset, "replace")
        except LookupError:
            return value
    return value.strip()


def _digits(parameters: list[str], value: str) -> str:
    """WhatsApp's own parameter ``waid`` has the number in international form, whatever is shown."""
    for parameter in parameters:
        name, _, number = parameter.partition("=")
        if name.upper() == "WAID" and (digits := _only_digits(number)):
            return digits
    number = _unescaped(value)
    if number[:4].lower() == "tel:":
        number = number[4:]
    return _only_digits(_EXTENSION.sub("", number))


def _only_digits(text: str) -> str:
    return "".join(letter for letter in text if letter in _DIGITS)


def _person(value: str) -> str:
    """ "Family;Given;Additional;Prefix;Suffix" as it is spoken."""
    parts = [_unescaped(part) for part in re.split(r"(?<!\\);", value)] + [""] * 5
    family, given, additional, prefix, suffix = parts[:5]
    return " ".join(part for part in (prefix, given, additional, family, suffix) if part)


def _unescaped(value: str) -> str:
    return _ESCAPED.sub(lambda found: " " if found[1] in "nN" else found[1], value).strip()

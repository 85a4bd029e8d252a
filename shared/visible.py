"""Names and texts of people: what a name may contain, and how to show what it must not.

Control, formatting and bidirectional characters can change how the text around them is read, or
command a terminal. New names must not contain them; elsewhere they are shown as symbols.
"""

from __future__ import annotations

import re
import unicodedata

from shared.translation import N_

# Format characters that scripts and emoji need between two visible ones: ZWNJ and ZWJ.
_JOINERS = frozenset("\u200c\u200d")
# Flags of regions are spelled with tag characters behind U+1F3F4; a cancel tag ends them.
_FLAG = re.compile("\U0001f3f4[\U000e0020-\U000e007e]{1,6}\U000e007f")
# Assigned as letters or symbols, but nothing is drawn.
_BLANK = frozenset("\u00ad\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_VARIATIONS = frozenset(chr(code) for code in (*range(0xFE00, 0xFE10), *range(0x180B, 0x1810)))
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})

RULE = N_(
    "must be visible text on one line: letters, marks, digits, punctuation, symbols, emoji and single spaces of any"
    " script; no control, formatting or direction characters"
)


def is_blank(text: str) -> bool:
    """Whether nothing of ``text`` can be seen."""
    return all(_unseen(character) or character.isspace() for character in text)


def is_plain_name(text: str) -> bool:
    """Whether ``text`` may be a name: see :data:`RULE`. Blanks at its ends are not accepted."""
    bare = _FLAG.sub("\U0001f3f4", text)
    if is_blank(bare) or text != text.strip():
        return False
    return all(_accepted(bare, at) for at in range(len(bare)))


def shown(text: str, *, keep: str = "") -> str:
    """``text`` with every character that must not act as a symbol, such as ``\\u202e``.

    The characters in ``keep`` stay: line breaks, where they are harmless.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character if character in keep or not is_hidden(text, at) else _escape(character)
        for at, character in enumerate(text)
    )


def shown_json(text: str) -> str:
    """JSON ``text`` for a terminal: hidden characters as JSON escapes; it means the same."""
    if text.isascii():
        return text
    return "".join(
        character if character in "\n\t" or not is_hidden(text, at) else _json_escape(character)
        for at, character in enumerate(text)
    )


def is_hidden(text: str, at: int) -> bool:
    """Whether the character at ``at`` controls, formats or has no meaning, and so is not shown."""
    return not _harmless(text, at)


def _accepted(text: str, at: int) -> bool:
    character = text[at]
    if character.isspace():
        return character == " "
    return _harmless(text, at) and character not in _BLANK


def _harmless(text: str, at: int) -> bool:
    character = text[at]
    if character in _JOINERS:
        # Between two visible characters, as in a family of emoji or in Persian; never in a row.
        around = text[at - 1 : at] + text[at + 1 : at + 2] if at else ""
        return len(around) == 2 and not any(_unseen(each) and each not in _VARIATIONS for each in around)
    return unicodedata.category(character) not in _HIDDEN_CATEGORIES


def _unseen(character: str) -> bool:
    return character in _BLANK or character in _VARIATIONS or unicodedata.category(character) in _HIDDEN_CATEGORIES


def _escape(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)  # the pictures of control characters
    if code == 0x7F:
        return "\u2421"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))

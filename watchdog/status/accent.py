"""The accent colour of the status page: as it was given, or moved until text in it can be read."""

from __future__ import annotations

from collections.abc import Sequence

Colour = tuple[int, int, int]

# What stands behind text, as in base.css, by day and by night.
DAY = ((0xFA, 0xF9, 0xF6), (0xFF, 0xFF, 0xFF), (0xF1, 0xEF, 0xE9))
NIGHT = ((0x13, 0x16, 0x1B), (0x1A, 0x1E, 0x25), (0x0E, 0x11, 0x15))
# WCAG 2.2, level AA, for text of every size.
LEAST = 4.5
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)


def parsed(text: str) -> Colour:
    """``#rrggbb``."""
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def contrast(one: Colour, other: Colour) -> float:
    """1 to 21, as WCAG defines it."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def readable(colour: Colour, behind: Sequence[Colour], towards: Colour) -> Colour:
    """``colour``, mixed with ``towards`` no more than it takes to be readable on all of ``behind``."""
    for part in range(101):
        mixed = tuple(round(own + (end - own) * part / 100) for own, end in zip(colour, towards, strict=True))
        found = (mixed[0], mixed[1], mixed[2])
        if all(contrast(found, each) >= LEAST for each in behind):
            return found
    return towards


def style_sheet(accent: str) -> str:
    """The variables of base.css for ``accent``, by day and by night."""
    given = parsed(accent)
    day = _variables(readable(given, DAY, _BLACK))
    night = _variables(readable(given, NIGHT, _WHITE))
    return (
        f":root{{{day}}}\n"
        f':root[data-theme="dark"]{{{night}}}\n'
        f'@media (prefers-color-scheme:dark){{:root[data-theme="auto"]{{{night}}}}}\n'
        ".top{border-top:4px solid var(--accent)}\n"
    )


def _variables(accent: Colour) -> str:
    ink = max((_WHITE, _BLACK), key=lambda each: contrast(accent, each))
    return f"--accent:{_hex(accent)};--focus:{_hex(accent)};--accent-ink:{_hex(ink)}"


def _hex(colour: Colour) -> str:
    return "#" + "".join(f"{part:02x}" for part in colour)


def _luminance(colour: Colour) -> float:
    red, green, blue = (
        part / 255 / 12.92 if part / 255 <= 0.04045 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in colour
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue

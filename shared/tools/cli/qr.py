"""Draws a QR code on a terminal: black on white whatever its colours are, and smaller where the window is small."""

from __future__ import annotations

# As the service writes it: a light module is drawn, a dark one is not.
_HALVES = {" ": (0, 0), "▀": (1, 0), "▄": (0, 1), "█": (1, 1)}
# Of a palette that themes do not change.
_BLACK_ON_WHITE, _END = "\033[38;5;16;48;5;231m", "\033[0m"


def drawn(text: str, lines: int) -> str:
    """``text`` of the service for a window of ``lines`` lines: two modules a line, or three where that is too high.

    A text that is no code is returned as it is.
    """
    light = _modules(text)
    if not light:
        return text
    height = 2 if len(light) // 2 <= lines else 3
    rows = [_halves(light, at) if height == 2 else _thirds(light, at) for at in range(0, len(light), height)]
    return "\n".join(_BLACK_ON_WHITE + row + _END for row in rows)


def _modules(text: str) -> list[list[int]]:
    found: list[list[int]] = []
    for line in text.splitlines():
        if not all(each in _HALVES for each in line):
            return []
        found.append([_HALVES[each][0] for each in line])
        found.append([_HALVES[each][1] for each in line])
    return found


def _dark(light: list[list[int]], row: int, column: int) -> int:
    inside = row < len(light) and column < len(light[row])
    return 1 - light[row][column] if inside else 0


def _halves(light: list[list[int]], at: int) -> str:
    cells = {(0, 0): " ", (1, 0): "▀", (0, 1): "▄", (1, 1): "█"}
    return "".join(cells[_dark(light, at, x), _dark(light, at + 1, x)] for x in range(len(light[at])))


def _thirds(light: list[list[int]], at: int) -> str:
    """Two by three modules a character: the sextants of Unicode, which leave out what older blocks have."""
    row = []
    for x in range(0, len(light[at]), 2):
        bits = sum(_dark(light, at + bit // 2, x + bit % 2) << bit for bit in range(6))
        older = {0: " ", 0b010101: "▌", 0b101010: "▐", 0b111111: "█"}
        row.append(older.get(bits) or chr(0x1FB00 + bits - 1 - (bits > 0b010101) - (bits > 0b101010)))
    return "".join(row)

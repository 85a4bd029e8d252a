"""Draws bars and curves as SVG: without script or inline style, with a text for screen readers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape


class Svg(str):
    """Markup that templates do not escape."""

    __slots__ = ()

    def __html__(self) -> str:
        return self


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar. ``kind`` is a CSS class, ``height`` 0 to 1, ``title`` the text under the pointer."""

    kind: str
    height: float
    title: str


@dataclass(frozen=True, slots=True)
class Series:
    """One line of ``points`` (x, y), broken where y is None."""

    kind: str
    points: Sequence[tuple[float, float | None]]


def bars(items: Sequence[Bar], *, label: str) -> Svg:
    """A row of bars as wide as its box. ``label`` is the text for screen readers."""
    step, width, tall = 10, 7, 100
    rects = []
    for index, item in enumerate(items):
        height = max(4.0, round(tall * min(1.0, item.height), 1))
        rects.append(
            f'<rect class="{item.kind}" x="{index * step}" y="{tall - height:g}" width="{width}" height="{height:g}">'
            f"<title>{escape(item.title)}</title></rect>"
        )
    view = f"0 0 {max(1, len(items) * step - (step - width))} {tall}"
    return Svg(_open("bars", view, label) + "".join(rects) + "</svg>")


def curve(series: Sequence[Series], *, x_from: float, x_until: float, y_max: float, label: str) -> Svg:
    """Lines over a common scale, without text: the page writes the axes beside it."""
    wide, tall = 1000, 200
    drawn = [f'<line class="grid" x1="0" x2="{wide}" y1="{y}" y2="{y}"/>' for y in (0, tall // 2, tall)]
    for line in series:
        path = _path(line.points, x_from, x_until, y_max, wide, tall)
        if path:
            drawn.append(f'<path class="line {line.kind}" d="{path}"/>')
    return Svg(_open("lines", f"0 0 {wide} {tall}", label) + "".join(drawn) + "</svg>")


def _open(kind: str, view: str, label: str) -> str:
    return f'<svg class="{kind}" viewBox="{view}" preserveAspectRatio="none" role="img" aria-label="{escape(label)}">'


def _path(
    points: Sequence[tuple[float, float | None]], x_from: float, x_until: float, y_max: float, wide: int, tall: int
) -> str:
    across = max(1e-9, x_until - x_from)
    parts, pen_down = [], False
    for x, y in points:
        if y is None:
            pen_down = False
            continue
        at_x = wide * (x - x_from) / across
        at_y = tall - tall * min(1.0, y / max(1e-9, y_max))
        parts.append(f"{'L' if pen_down else 'M'}{at_x:.1f} {at_y:.1f}")
        if not pen_down:
            parts.append("h0.1")  # a single point between two gaps stays visible
        pen_down = True
    return "".join(parts)


def round_up(value: float) -> float:
    """The next 1, 2 or 5 times a power of ten, as the end of an axis."""
    if value <= 0:
        return 1.0
    step = 10.0 ** (len(str(int(value))) - 1) if value >= 1 else 0.1
    for factor in (1, 2, 5, 10):
        if value <= factor * step:
            return factor * step
    return value

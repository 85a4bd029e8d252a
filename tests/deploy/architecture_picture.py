"""Draws ``docs/architecture.svg``: the processes, what they store, and who speaks with whom.

``python -m tests.deploy.documents --write`` writes it; a test compares it with :func:`picture`.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from tests.support.processes import ROOT

FILE = ROOT / "docs" / "architecture.svg"
WIDTH, HEIGHT = 960, 470

_STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1b1f24; }
  .title { font-weight: 600; font-size: 15px; }
  .small { font-size: 12px; fill: #57606a; }
  .page { fill: #ffffff; }
  .ours { fill: #e8f3ee; stroke: #1a7f5a; stroke-width: 1.5; }
  .store { fill: #f6f8fa; stroke: #8c959f; }
  .outside { fill: #ffffff; stroke: #8c959f; stroke-dasharray: 5 4; }
  .line { fill: none; stroke: #57606a; stroke-width: 1.5; marker-end: url(#tip); }
  .both { marker-start: url(#tip); }
  .tip { fill: #57606a; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .small { fill: #9da7b1; }
    .page { fill: #0d1117; }
    .ours { fill: #12261e; stroke: #3fb68b; }
    .store { fill: #161b22; stroke: #6e7681; }
    .outside { fill: #0d1117; stroke: #6e7681; }
    .line { stroke: #9da7b1; }
    .tip { fill: #9da7b1; }
  }
"""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle with a title and lines of text; coordinates are pixels. ``kind`` is a class of the style."""

    kind: str
    x: int
    y: int
    width: int
    height: int
    title: str
    lines: tuple[str, ...] = ()

    def draw(self) -> str:
        middle = self.x + self.width // 2
        drawn = [f'<rect class="{self.kind}" x="{self.x}" y="{self.y}" width="{self.width}" height="{self.height}" rx="8"/>',
                 _text(middle, self.y + 24, self.title, "title")]  # fmt: skip
        drawn += [_text(middle, self.y + 44 + 17 * number, line, "small") for number, line in enumerate(self.lines)]
        return "\n".join(drawn)


@dataclass(frozen=True, slots=True)
class Arrow:
    """A straight line from one point to another with text beside its middle, moved by ``shift`` pixels."""

    start: tuple[int, int]
    end: tuple[int, int]
    label: tuple[str, ...]
    both: bool = False
    shift: tuple[int, int] = (0, -8)
    anchor: str = "middle"

    def draw(self) -> str:
        (x1, y1), (x2, y2) = self.start, self.end
        kind = "line both" if self.both else "line"
        drawn = [f'<path class="{kind}" d="M{x1} {y1} L{x2} {y2}"/>']
        x, y = (x1 + x2) // 2 + self.shift[0], (y1 + y2) // 2 + self.shift[1]
        drawn += [_text(x, y + 15 * number, line, "small", self.anchor) for number, line in enumerate(self.label)]
        return "\n".join(drawn)


BOXES = (
    Box("outside", 20, 30, 190, 110, "People", ("dashboard, pairing", "status page", "alerts on every channel")),
    Box("outside", 20, 180, 190, 80, "Your programs", ("API, webhooks, events", "WAHA, Evolution, MCP")),
    Box("outside", 20, 300, 190, 60, "Prometheus", ("rules, Grafana board",)),
    Box("ours", 350, 150, 220, 150, "bot_service", ("API process", "state machine of each session", "outboxes: messages, webhooks", "port 3000")),
    Box("ours", 690, 150, 250, 100, "Engine workers", ("50 sessions a process", "neonize, or the simulator", "outlive the API process")),
    Box("outside", 690, 30, 250, 60, "WhatsApp", ("multi-device protocol",)),
    Box("ours", 350, 8, 220, 92, "watchdog", ("decides, alerts, repairs", "own store: watchdog.db", "port 3001")),
    Box("store", 350, 370, 220, 70, "bot.db", ("SQLite: sessions, messages,", "deliveries, keys")),
    Box("store", 690, 370, 250, 70, "journals, devices", ("each message is stored here before", "WhatsApp gets its receipt")),
)  # fmt: skip
ARROWS = (
    Arrow((350, 60), (212, 60), ("alerts, page",)),
    Arrow((430, 102), (430, 148), ("pings, heartbeat", "statistics"), True, (-10, -1), "end"),
    Arrow((500, 102), (500, 148), ("repairs",), False, (10, 4), "start"),
    Arrow((212, 110), (348, 180), ("",)),
    Arrow((212, 220), (348, 220), ("HTTP, JSON",), True),
    Arrow((212, 330), (348, 275), ("/metrics",), False, (0, -12)),
    Arrow((570, 205), (688, 205), ("Unix sockets",), True),
    Arrow((815, 148), (815, 92), ("one connection a session",), True, (-10, 4), "end"),
    Arrow((460, 302), (460, 368), ("one transaction", "a decision"), False, (-10, 0), "end"),
    Arrow((815, 252), (815, 368), ("append",), False, (10, 4), "start"),
    Arrow((688, 400), (560, 302), ("reads",), False, (34, 8), "start"),
)


def picture() -> str:
    """The SVG document; the same text at every call."""
    marker = (
        '<defs><marker id="tip" viewBox="0 0 10 10" refX="8" refY="5" markerWidth="7" markerHeight="7" '
        'orient="auto-start-reverse"><path class="tip" d="M0 0 L10 5 L0 10 z"/></marker></defs>'
    )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="name">',
            '<title id="name">Processes of Veilleur: people and programs, bot_service, watchdog, workers, files</title>',
            f"<style>{_STYLE}</style>",
            marker,
            f'<rect class="page" width="{WIDTH}" height="{HEIGHT}"/>',
            *(arrow.draw() for arrow in ARROWS),
            *(box.draw() for box in BOXES),
            "</svg>",
            "",
        ]
    )


def _text(x: int, y: int, text: str, kind: str, anchor: str = "middle") -> str:
    return f'<text class="{kind}" x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>' if text else ""

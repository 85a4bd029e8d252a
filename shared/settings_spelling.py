"""Finds misspelt variables: set, unknown, and almost a known name. Otherwise they would be ignored without a word."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# Names of this length and longer may differ in two letters, shorter ones in one: HOME is no misspelt HOST.
_LONG = 8


@dataclass(frozen=True, slots=True)
class Misspelt:
    """``name`` is set and unknown, ``meant`` is the known variable that it resembles."""

    name: str
    meant: str

    def __str__(self) -> str:
        return f"{self.name} is set but unknown: did you mean {self.meant}?"


def known(cls: type[Any]) -> set[str]:
    """Every name that ``cls`` reads, with the ``_FILE`` names of secrets."""
    names = set()
    for field in dataclasses.fields(cls):
        name = field.metadata["name"]
        names |= {name, f"{name}_FILE"} if field.metadata["kind"].secret else {name}
    return names


# Programs that read only some of the variables: these are known to another one.
_ELSEWHERE = frozenset({"BOT_URLS"})


def misspelt(cls: type[Any], environ: Mapping[str, str]) -> list[Misspelt]:
    """The variables of ``environ`` that are almost one of ``cls``, by name. Values are not looked at."""
    names = known(cls)
    found = []
    for name in sorted(environ.keys() - names - _ELSEWHERE):
        meant = next(_resembling(name, names), None)
        if meant is not None:
            found.append(Misspelt(name, meant))
    return found


def log_misspelt(cls: type[Any], environ: Mapping[str, str]) -> None:
    """A warning for each of them. Settings are also read by programs without a log, so it is loaded here."""
    from shared import logs

    for each in misspelt(cls, environ):
        logs.get(__name__).warning(str(each), event_name="settings.unknown", variable=each.name, meant=each.meant)


def _resembling(name: str, names: Iterable[str]) -> Iterator[str]:
    """The known names that ``name`` may mean, closest first."""
    near = ((_distance(name.upper(), each), each) for each in names)
    for distance, each in sorted(near):
        if distance <= (2 if min(len(name), len(each)) >= _LONG else 1):
            yield each


def _distance(one: str, other: str) -> int:
    """Letters to insert, drop, change or swap with their neighbour; 3 stands for all that is more than 2."""
    # Two steps change at most two letters each; most pairs of names end here.
    if abs(len(one) - len(other)) > 2 or len(set(one) ^ set(other)) > 4:
        return 3
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        earlier, before, row = before, row, [i]
        for j, b in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                cost = min(cost, earlier[j - 2] + 1)
            row.append(cost)
    return min(row[-1], 3)

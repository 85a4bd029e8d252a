"""No regular expression takes a time that grows with the square of its input."""

from __future__ import annotations

import ast
import re
import time
from collections.abc import Callable, Iterator

import pytest

from shared.redact import redact_text
from tests.support.members import members
from tests.support.processes import ROOT

_METHODS = {"match", "fullmatch", "search", "sub", "split", "findall", "finditer"}
_CHARACTERS = list("aZ1_-+.,:;@/?&=<>()[]`\\#$")
_WHITE = [" ", "\t", "\n", "\r\n", "é", '"', "'"]
_SIZE = 2000
# Files of the programs that may have patterns. Every worker collects, so nothing is parsed before a test runs.
_FILES = [
    str(path.relative_to(ROOT))
    for folder in ("bot_service", "watchdog", "shared")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if re.search(rb"\bre\.|pattern=", path.read_bytes())
]


def _patterns(file: str) -> set[tuple[str, str]]:
    """Text and method of each pattern that ``file`` uses."""
    code = (ROOT / file).read_text(encoding="utf-8")
    used = (each for node in ast.walk(ast.parse(code)) for each in _used(node, code))
    return {(text, method) for text, methods in used for method in methods}


def _used(node: ast.AST, code: str) -> Iterator[tuple[str, set[str]]]:
    """The patterns that ``node`` makes, each with the methods that search with it."""
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        text = _literal(node.value, {"compile"})
        if text is not None:
            methods = set(re.findall(rf"\b{node.targets[0].id}\.(\w+)\(", code))
            yield text, {method if "match" in method else "search" for method in methods}
    elif isinstance(node, ast.Call):
        text = _literal(node, _METHODS)
        if text is not None and isinstance(node.func, ast.Attribute):
            yield text, {node.func.attr if "match" in node.func.attr else "search"}
        for keyword in node.keywords:
            if keyword.arg == "pattern" and isinstance(keyword.value, ast.Constant):
                yield str(keyword.value.value), {"search"}


def _literal(node: ast.AST, functions: set[str]) -> str | None:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in functions):
        return None
    if not (isinstance(node.func.value, ast.Name) and node.func.value.id == "re" and node.args):
        return None
    value = node.args[0].value if isinstance(node.args[0], ast.Constant) else None
    return value.decode("latin-1") if isinstance(value, bytes) else value if isinstance(value, str) else None


def _attacks(pattern: str, size: int) -> Iterator[str]:
    """Long texts from the characters and words of ``pattern`` that match nearly, again and again."""
    words = {word for word in re.findall(r"[A-Za-z_][A-Za-z_ ]+", pattern) if len(word) > 1}
    words |= {word + tail for word in list(words) for tail in (":", "=", '="', " ", "`", "@", ": `")}
    pieces = [*_CHARACTERS, *_WHITE, *sorted(words)]
    for piece in pieces:
        yield piece * (size // len(piece)) + "\x00"
        for other in ("a", "1", " ", ":", "@", '"'):
            yield piece + other * size + "\x00"
            yield (piece + other) * (size // (len(piece) + 1)) + "@ "


def _seconds(search: Callable[[str], object], text: str, times: int) -> float:
    best = 10.0
    for _ in range(times):
        begun = time.thread_time()
        search(text)
        best = min(best, time.thread_time() - begun)
    return best


def _slow_on(pattern: str, method: str) -> str | None:
    """A text of which the double takes much more than double the time."""
    search = getattr(re.compile(pattern, re.S), method)
    for text, double in zip(_attacks(pattern, _SIZE), _attacks(pattern, 2 * _SIZE), strict=True):
        # A busy machine can make some measurements long, hardly five pairs one after another.
        if _seconds(search, text, 1) > 0.000_3 and all(
            _seconds(search, double, 2) > 3 * _seconds(search, text, 2) for _ in range(5)
        ):
            return double
    return None


@pytest.mark.parametrize("file", _FILES)
def test_no_pattern_takes_the_square_of_its_input(file: str) -> None:
    slow = {pattern: text[:60] for pattern, method in _patterns(file) if (text := _slow_on(pattern, method))}
    assert slow == {}


@pytest.mark.parametrize("slow", members([r"TEL[^:]*:x", r"\s+#", r"[\w.+-]+(?::\d+)?@lid", r"(a|1)*b\Z"], first=2))
def test_the_check_finds_a_pattern_that_does(slow: str) -> None:
    assert _slow_on(slow, "search")


def test_the_check_sees_the_patterns() -> None:
    assert sum(len(_patterns(file)) for file in _FILES) > 30


@pytest.mark.parametrize(
    "text",
    [
        "a" * 32_000 + "@ ",
        "1" * 32_000 + ":" + "1" * 32_000 + "@ ",
        "a@lid" * 12_000,
        "Bearer " * 9_000,
        "Bearer" + " " * 60_000 + "@",
        "://a:" * 12_000,
        "://" + "a:" * 30_000 + "@",
        "?token=" * 9_000,
        "+1" * 30_000,
        "AAAA-" * 12_000,
        "1@" * 30_000,
        "é.é+" * 15_000 + "@lid",
    ],
    ids=lambda text: text[:8] + f"*{len(text)}",
)
def test_a_long_text_is_redacted_in_milliseconds(text: str) -> None:
    begun = time.thread_time()
    redact_text(text)
    assert time.thread_time() - begun < 0.5

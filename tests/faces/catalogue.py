"""Finds every text that a program's pages translate: in templates and in Python, by their calls."""

from __future__ import annotations

import ast
import re
from pathlib import Path

_CALL = re.compile(r"""\bt\(\s*(?P<quote>["'])(?P<text>(?:\\.|(?!(?P=quote)).)*)(?P=quote)""")
_MANY = re.compile(r"""\bt\.many\(\s*[^,]+,\s*"(?P<one>[^"]+)",\s*"(?P<several>[^"]+)\"""")


def of_templates(folder: Path) -> set[str]:
    """Texts of ``t("…")`` and ``t.many(n, "…", "…")`` in every template of ``folder``."""
    found: set[str] = set()
    for path in sorted(folder.glob("*.html")):
        source = path.read_text(encoding="utf-8")
        found |= {match["text"] for match in _CALL.finditer(source)}
        for match in _MANY.finditer(source):
            found |= {match["one"], match["several"]}
    return found


def of_python(folder: Path) -> set[str]:
    """Constant texts given to a call of ``t`` or ``t.many`` in every module of ``folder``."""
    found: set[str] = set()
    for path in sorted(folder.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            by_name = isinstance(node.func, ast.Name) and node.func.id == "t"
            by_many = (
                isinstance(node.func, ast.Attribute)
                and node.func.attr == "many"
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "t"
            )
            arguments = node.args[:1] if by_name else node.args[1:3] if by_many else []
            for argument in arguments:
                found |= _texts(argument)
    return found


def _texts(node: ast.expr) -> set[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return {node.value}
    if isinstance(node, ast.IfExp):
        return _texts(node.body) | _texts(node.orelse)
    return set()

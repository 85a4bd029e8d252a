"""The graph of imports: no cycle of modules, and no import of a layer above one's own."""

from __future__ import annotations

import tomllib
from functools import cache
from typing import Any

import grimp
import pytest

from tests.support.processes import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
LAYERED = [contract for contract in PROJECT["contracts"] if contract["type"] == "layers"]


@cache
def graph(*, for_types: bool = True) -> grimp.ImportGraph:
    """``for_types``: also imports under ``TYPE_CHECKING``, which a running program does not do."""
    return grimp.build_graph(*PROJECT["root_packages"], exclude_type_checking_imports=not for_types, cache_dir=None)


def cycles(imports: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import each other (Tarjan's strongly connected components)."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    path: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        number[module] = low[module] = len(number)
        path.append(module)
        for imported in sorted(imports.get(module, ())):
            if imported not in number:
                visit(imported)
                low[module] = min(low[module], low[imported])
            elif imported in path:
                low[module] = min(low[module], number[imported])
        if low[module] == number[module]:
            group = path[path.index(module) :]
            del path[path.index(module) :]
            if len(group) > 1 or module in imports.get(module, ()):
                found.append(sorted(group))

    for module in sorted(imports):
        if module not in number:
            visit(module)
    return found


def layers(contract: dict[str, Any], container: str) -> list[set[str]]:
    """Packages of each layer, the highest first. ``a | b`` and ``a : b`` share a layer."""
    lines = [line.replace(":", "|").split("|") for line in contract["layers"]]
    return [{f"{container}.{name.strip().strip('()')}".strip(".") for name in line} for line in lines]


def within(module: str, packages: set[str]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def upward(contract: dict[str, Any], container: str) -> list[str]:
    """Imports of a module in a layer above the importer's."""
    ranks = layers(contract, container)
    rank_of: dict[str, int] = {}
    for module in graph().modules:
        rank = next((rank for rank, packages in enumerate(ranks) if within(module, packages)), None)
        if rank is not None:
            rank_of[module] = rank
    found = [
        f"{module} -> {imported}"
        for module, rank in sorted(rank_of.items())
        for imported in sorted(graph().find_modules_directly_imported_by(module))
        if rank_of.get(imported, rank) < rank
    ]
    return [each for each in found if each not in contract.get("ignore_imports", [])]


def test_modules_import_each_other_in_no_circle() -> None:
    runs = graph(for_types=False)
    imports = {module: runs.find_modules_directly_imported_by(module) for module in runs.modules}
    assert len(imports) > 300, "the graph has to hold the three packages"
    assert cycles(imports) == []


def test_no_layer_imports_one_above_it() -> None:
    found = [
        each
        for contract in LAYERED
        for container in contract.get("containers", [""])
        for each in upward(contract, container)
    ]
    assert found == []


def test_an_import_of_a_layer_above_is_found() -> None:
    # Of layers upside down, what is a contract's reason becomes its breach.
    contract = {"layers": ["domain | (absent)", "sessions"]}
    assert upward({"layers": ["sessions", "domain"]}, "bot_service") == []
    breaches = upward(contract, "bot_service")
    assert any(each.startswith("bot_service.sessions.") and " -> bot_service.domain." in each for each in breaches)
    assert upward(contract | {"ignore_imports": breaches}, "bot_service") == []


@pytest.mark.parametrize(
    ("imports", "expected"),
    [
        ({"a": {"b"}, "b": {"c"}, "c": set()}, []),
        ({"a": {"b"}, "b": {"a"}}, [["a", "b"]]),
        ({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"d"}}, [["b", "c"], ["d"]]),
    ],
)
def test_a_circle_is_found(imports: dict[str, set[str]], expected: list[list[str]]) -> None:
    assert cycles(imports) == expected

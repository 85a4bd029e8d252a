"""Lets all SQLite stores of a test process compile each statement once. SQLAlchemy does it for each engine, so for each test."""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import Engine
from sqlalchemy.util import LRUCache


class _OfAllEngines:
    """The cache of every engine: its keys begin with the dialect, of which each engine has its own."""

    def __init__(self) -> None:
        self._compiled: LRUCache[Any, Any] = LRUCache(5000)

    def get(self, key: tuple[Any, ...]) -> Any:
        return self._compiled.get((type(key[0]), *key[1:]))

    def __setitem__(self, key: tuple[Any, ...], compiled: Any) -> None:
        self._compiled[(type(key[0]), *key[1:])] = compiled


def share() -> None:
    """From now on, in this process."""
    shared = _OfAllEngines()

    def cache(engine: Engine) -> Any:
        return shared if engine.dialect.name == "sqlite" else vars(engine)["_compiled_cache"]

    def keep(engine: Engine, own: Any) -> None:
        vars(engine)["_compiled_cache"] = own

    Engine._compiled_cache = property(cache, keep)  # type: ignore[assignment]

"""Reads the arguments of a simulator action by name and bounds; refuses unknown ones."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from bot_service.engines.port import EngineError

LONGEST_TEXT = 65_536
Found = TypeVar("Found", bound=msgspec.Struct)


class Arguments:
    """Raises :class:`EngineError` ``invalid`` with the name and what is accepted."""

    def __init__(self, action: str, given: dict[str, Any]) -> None:
        self._action, self._left = action, dict(given)

    def whole(self, name: str, default: int, low: int, high: int) -> int:
        value = self._left.pop(name, default)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or value != int(value) or not low <= value <= high:
            raise self._wrong(name, f"a whole number from {low} to {high}")
        return int(value)

    def number(self, name: str, low: float, high: float) -> float | None:
        """None when it is not given."""
        value = self._left.pop(name, None)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise self._wrong(name, f"a number from {low:g} to {high:g}")
        return float(value)

    def until_ms(self, now_ms: int) -> int | None:
        """The end, in ms since the epoch, of ``seconds``; None without an end."""
        seconds = self.number("seconds", 0, 366 * 86_400)
        return None if seconds is None else now_ms + int(seconds * 1000)

    def text(self, name: str, default: str | None = None) -> str | None:
        value = self._left.pop(name, default)
        if value is not None and (not isinstance(value, str) or len(value) > LONGEST_TEXT):
            raise self._wrong(name, f"a text of at most {LONGEST_TEXT} characters")
        return value

    def needed_text(self, name: str) -> str:
        value = self.text(name)
        if not value:
            raise self._wrong(name, "a text")
        return value

    def choice(self, name: str, default: str, *accepted: str) -> str:
        value = self.text(name, default)
        if value not in accepted:
            raise self._wrong(name, " or ".join(accepted))
        return value

    def flag(self, name: str, default: bool) -> bool:
        value = self._left.pop(name, default)
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false")
        return value

    def has(self, name: str) -> bool:
        """Whether it is given and not read yet."""
        return name in self._left

    def texts(self, name: str) -> list[str]:
        value = self._left.pop(name, None)
        if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
            raise self._wrong(name, "a list of texts")
        return value

    def struct(self, name: str, kind: type[Found]) -> Found:
        """An object with the fields of ``kind``; its defaults when it is not given."""
        try:
            return msgspec.convert(self._left.pop(name, {}), kind)
        except msgspec.ValidationError as error:
            raise self._wrong(name, f"an object with the parts of a message: {error}") from None

    def end(self) -> None:
        """All were read; the caller gave an unknown one otherwise."""
        if self._left:
            wrong = sorted(self._left)
            raise EngineError("invalid", f"{self._action} takes no argument {', '.join(wrong)}", field=wrong[0])

    def _wrong(self, name: str, accepted: str) -> EngineError:
        return EngineError("invalid", f"{self._action}: {name} must be {accepted}", field=name)

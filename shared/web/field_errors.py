"""What is wrong with one value of a request, in plain words: what msgspec says, with what its type accepts."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import msgspec.inspect

_STEPS = re.compile(r"\.(?P<name>[^.\[\]]+)|\[(?P<item>\d+|\.\.\.)\]")
_GOT = re.compile(r"Expected `(?P<wanted>[^`]+)`, got `(?P<got>[^`]+)`")
_LENGTH = re.compile(r"Expected `(?P<kind>[^`]+)` of length (?P<sign>>=|<=|==) (?P<bound>\d+)")
_SIZE = re.compile(r"Expected `[^`]+` (?P<sign>>=|<=|>|<) (?P<bound>[-\d.]+)")
_KINDS = {
    "str": "a text", "int": "a whole number", "float": "a number", "bool": "true or false", "array": "a list",
    "object": "an object", "null": "null",
}  # fmt: skip
_BOUNDS = {">=": "at least", "<=": "at most", "==": "exactly", ">": "more than", "<": "less than"}


def explained(message: str, path: str, kind: Any) -> str:
    """``message`` of msgspec about the value at ``path`` (``media.seconds``, ``mentions[0]``) of a ``kind``."""
    found, accepted = _type_at(kind, path)
    if "missing required field" in message:
        return "is needed"
    if "unknown field" in message:
        owner, _ = _type_at(kind, path.rpartition(".")[0])
        names = ", ".join(field.encode_name for field in getattr(owner, "fields", ()))
        return "is not known here" + (f"; known are {names}" if names else "")
    if accepted:
        return f"must be {accepted}"
    if values := _choices(found):
        return f"must be one of {', '.join(values)}"
    if got := _GOT.fullmatch(message):
        wanted = [_KINDS.get(each, each) for each in got["wanted"].split(" | ") if each != "null"]
        return f"must be {' or '.join(wanted)}, not {_KINDS.get(got['got'], got['got'])}"
    if length := _LENGTH.fullmatch(message):
        one, several = ("character", "characters") if length["kind"] == "str" else ("entry", "entries")
        return f"must have {_BOUNDS[length['sign']]} {length['bound']} {one if length['bound'] == '1' else several}"
    if size := _SIZE.fullmatch(message):
        return f"must be {_BOUNDS[size['sign']]} {size['bound'].removesuffix('.0')}"
    return message


def _type_at(kind: Any, path: str) -> tuple[Any, str]:
    """The type at ``path`` and what it accepts, as its ``Meta(description=…)`` says; None where the path leads nowhere."""
    found, accepted = _unwrapped(msgspec.inspect.type_info(kind))
    for step in _STEPS.finditer("." + path if path and not path.startswith("[") else path):
        below: Any = None
        if step["name"]:
            fields = getattr(found, "fields", ())
            below = next((field.type for field in fields if field.encode_name == step["name"]), None)
        else:
            # An entry of a list, or ``...``: a value of a dictionary.
            below = getattr(found, "item_type", None) or getattr(found, "value_type", None)
        if below is None:
            return None, ""
        found, accepted = _unwrapped(below)
    return found, accepted


def _unwrapped(found: Any) -> tuple[Any, str]:
    accepted = ""
    while True:
        if isinstance(found, msgspec.inspect.Metadata):
            accepted = str((found.extra_json_schema or {}).get("description", accepted))
            found = found.type
        elif isinstance(found, msgspec.inspect.UnionType):
            others = [each for each in found.types if not isinstance(each, msgspec.inspect.NoneType)]
            if len(others) != 1:
                return found, accepted
            found = others[0]
        else:
            return found, accepted


def _choices(found: Any) -> list[str]:
    if isinstance(found, msgspec.inspect.LiteralType):
        return [str(value) for value in found.values]
    if isinstance(found, msgspec.inspect.EnumType):
        return [str(each.value) for each in found.cls]
    return []

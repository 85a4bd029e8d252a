"""WAHA's own specification, and what differs from it."""

from __future__ import annotations

import json
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from tests.support.processes import ROOT

# The specification of another project: beside this folder, or where the variable says.
REFERENCES = Path(os.environ.get("REFERENCE_DATA") or ROOT.parent / "shared" / "data")
SPECIFICATION = REFERENCES / "waha-openapi-2026.7.1.json"


def needed() -> dict[str, Any]:
    """The document, or the test is skipped: it is not part of this project."""
    if not SPECIFICATION.exists():
        pytest.skip(f"needs WAHA's specification, {SPECIFICATION.name}, in REFERENCE_DATA (.ci/run passes it on)")
    return _document()


@cache
def _document() -> dict[str, Any]:
    return dict(_readable(json.loads(SPECIFICATION.read_text())))


def _readable(schema: Any) -> Any:
    """The document's slips, as validators need them.

    ``nullable`` is a word of OpenAPI 3.0, and names of events are texts that it calls objects.
    """
    if isinstance(schema, list):
        return [_readable(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: _readable(each) for name, each in schema.items()}
    if found.pop("nullable", False) is True and isinstance(found.get("type"), str):
        found["type"] = [found["type"], "null"]
    if found.get("type") == "object" and all(isinstance(each, str) for each in found.get("enum", [None])):
        found["type"] = "string"
    if found.get("type") == "array" and found.get("example") == ["message", "session.status"]:
        found["items"] = {"type": "string"}
    return found


def _first_error(schema: dict[str, Any], answer: Any) -> str | None:
    registry = Registry().with_resource("urn:waha", DRAFT202012.create_resource(_document()))
    own = json.loads(json.dumps(schema).replace('"#/', '"urn:waha#/'))
    found = sorted(Draft202012Validator(own, registry=registry).iter_errors(answer), key=str)
    return f"{found[0].json_path} {found[0].message}" if found else None


def pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{[^/]+?\\\}", "[^/]+", re.escape(path)))


def misfit(method: str, path: str, status: int, answer: Any) -> str | None:
    """How an answer differs from the specification; None when it fits."""
    plain = path.partition("?")[0]
    known = [
        operations[method.lower()]
        for template, operations in _document()["paths"].items()
        if method.lower() in operations and pattern(template).fullmatch(plain)
    ]
    # The operation without a parameter at this place comes first in WAHA too.
    operation = min(known, key=lambda each: len(each.get("parameters", [])), default=None)
    if operation is None:
        return f"{method} {path} is no operation of WAHA"
    described = operation["responses"].get(str(status))
    if described is None:
        return f"{method} {path}: {status} is not described"
    content = described.get("content", {}).get("application/json")
    why = _first_error(content["schema"], answer) if content is not None else None
    return why and f"{method} {path}: {why}"


def misfit_of_event(body: dict[str, Any]) -> str | None:
    """How the body of a webhook differs from the specification; None when it fits."""
    described = _document()["webhooks"].get(body["event"])
    if described is None:
        return f"{body['event']} is no event of WAHA"
    schema = described["post"]["requestBody"]["content"]["application/json"]["schema"]
    return _first_error(schema, body)

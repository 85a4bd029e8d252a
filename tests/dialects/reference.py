"""Specifications of other projects, and what differs from them.

They are beside this folder, or where REFERENCE_DATA says. They are not part of this project.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Awaitable, Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from tests.support.processes import ROOT

REFERENCES = Path(os.environ.get("REFERENCE_DATA") or ROOT.parent / "shared" / "data")
WAHA, EVOLUTION = "waha-openapi-2026.7.1.json", "evolution-openapi-v2.json"
Misfit = Callable[[str, str, int, Any], str | None]


def specification_of(file: str) -> dict[str, Any]:
    """The document; the test is skipped without it."""
    if not (REFERENCES / file).exists():
        pytest.skip(f"needs {file} in REFERENCE_DATA (.ci/run passes it on)")
    return _document(file)


@cache
def _document(file: str) -> dict[str, Any]:
    return dict(_readable(json.loads((REFERENCES / file).read_text())))


def _readable(schema: Any) -> Any:
    """The documents' slips, as validators need them.

    ``nullable`` is a word of OpenAPI 3.0, and names of events are texts that WAHA's calls objects.
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


def _first_error(document: dict[str, Any], schema: dict[str, Any], answer: Any) -> str | None:
    registry = Registry().with_resource("urn:document", DRAFT202012.create_resource(document))
    own = json.loads(json.dumps(schema).replace('"#/', '"urn:document#/'))
    found = sorted(Draft202012Validator(own, registry=registry).iter_errors(answer), key=str)
    return f"{found[0].json_path} {found[0].message}" if found else None


def pattern(path: str) -> re.Pattern[str]:
    """The path of an operation, its parameters filled with anything."""
    return re.compile(re.sub(r"\\\{[^/]+?\\\}", "[^/]+", re.escape(path)))


def operation(document: dict[str, Any], method: str, path: str) -> dict[str, Any] | None:
    """What the document says of a call. The path without a parameter at some place comes first."""
    plain = path.partition("?")[0]
    known = [
        (template.count("{"), operations[method.lower()])
        for template, operations in document["paths"].items()
        if method.lower() in operations and pattern(template).fullmatch(plain)
    ]
    return min(known, key=lambda each: each[0], default=(0, None))[1]


def covered(file: str, routes: Iterable[tuple[Any, ...]]) -> tuple[int, int] | None:
    """(operations of the document that ``routes`` have, all of its operations); None without the document."""
    if not (REFERENCES / file).exists():
        return None
    known = {(method.upper(), path) for path, found in _document(file)["paths"].items() for method in found}
    return len(known.intersection((each[0], each[1]) for each in routes)), len(known)


def misfit_of_waha(method: str, path: str, status: int, answer: Any) -> str | None:
    """How an answer differs from WAHA's specification; None when it fits."""
    document = specification_of(WAHA)
    found = operation(document, method, path)
    if found is None:
        return f"{method} {path} is no operation of WAHA"
    described = found["responses"].get(str(status))
    if described is None:
        return f"{method} {path}: {status} is not described"
    content = described.get("content", {}).get("application/json")
    why = _first_error(document, content["schema"], answer) if content is not None else None
    return why and f"{method} {path}: {why}"


def misfit_of_wahas_event(body: dict[str, Any]) -> str | None:
    """How the body of a webhook differs from WAHA's specification; None when it fits."""
    document = specification_of(WAHA)
    described = document["webhooks"].get(body["event"])
    if described is None:
        return f"{body['event']} is no event of WAHA"
    schema = described["post"]["requestBody"]["content"]["application/json"]["schema"]
    return _first_error(document, schema, body)


def misfit_of_evolution(method: str, path: str, status: int, answer: Any) -> str | None:
    """How an answer differs from Evolution's document; None when it fits or there is no schema for it."""
    # The node for n8n and the program have this one elsewhere than the document.
    plain = path.partition("?")[0].replace("/chat/updateBlockStatus", "/message/updateBlockStatus")
    # The package of n8n restarts with POST; the document, like the program, has both.
    asked = "PUT" if plain.startswith("/instance/restart/") else method
    document = specification_of(EVOLUTION)
    found = operation(document, asked, plain)
    if found is None:
        return f"{method} {path} is no operation of Evolution"
    # Its examples say 201 where the document says 200, and the other way round.
    described = [answers for code, answers in found["responses"].items() if code.startswith("2")]
    content = described[0].get("content", {}).get("application/json") if described else None
    # Of this one the document has the schema of an error; its example is a list of instances.
    if content is None or plain == "/instance/fetchInstances":
        return None
    why = _first_error(document, content["schema"], answer)
    return why and f"{method} {path} ({status}): {why}"


async def uncovered(
    calls: list[tuple[str, str, Any]],
    call: Callable[[str, str, Any], Awaitable[tuple[int, Any]]],
    misfit: Misfit,
    routes: Iterable[tuple[str, str]],
) -> set[tuple[str, str]]:
    """Make each call, which must succeed and be answered as described. Returns the routes that none of them reached."""
    wrong: list[str] = []
    rest = set(routes)
    for method, path, body in calls:
        status, answer = await call(method, path, body)
        if status >= 300:
            wrong.append(f"{method} {path} gave {status}: {answer}")
        elif (why := misfit(method, path, status, answer)) is not None:
            wrong.append(why)
        plain = path.partition("?")[0]
        rest -= {each for each in rest if each[0] == method and pattern(each[1]).fullmatch(plain)}
    assert not wrong, "\n".join(wrong)
    return rest

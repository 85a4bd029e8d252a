"""schemathesis over the documents of WAHA and of Evolution themselves, against the running application.

Its calls are the documents' examples, their boundaries and random ones. No answer is 5xx, and each
answer that a document describes is as described.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bot_service.dialects.evolution import routes as evolution
from bot_service.dialects.waha import routes as waha
from tests.dialects import evolution_scene, waha_scene
from tests.dialects.reference import EVOLUTION, WAHA, specification_of
from tests.support.bot_app import Bot
from tests.support.examples import examples
from tests.support.processes import API_KEY

pytestmark = [pytest.mark.reference, pytest.mark.properties, pytest.mark.deep, pytest.mark.timeout(600)]

SCHEMATHESIS = shutil.which("schemathesis", path=str(Path(sys.executable).parent)) or "schemathesis"
CHECKS = "not_a_server_error,response_schema_conformance,content_type_conformance"
METHODS = ("get", "post", "put", "delete")
# WAHA's answer too is null without a phone; and the schema is the one of an error, beside an example that is none.
SLIPS = {"/api/sessions/{session}/me", "/instance/fetchInstances"}


class Document(NamedTuple):
    """``values`` are what parameters and fields of a name have in the good calls. Calls below ``ends``
    may end a session, which is another one there, named by ``session``."""

    file: str
    prefix: str
    routes: frozenset[tuple[str, str]]
    every_call: Callable[[Bot], Coroutine[Any, Any, list[tuple[str, str, Any]]]]
    header: str
    values: dict[str, Any]
    session: tuple[str, ...]
    ends: str


CHAT, GROUP = waha_scene.CHAT, waha_scene.GROUP
IN_CHAT = f"false_{CHAT}_AAA"
DOCUMENTS = {
    "waha": Document(
        WAHA, "/waha", frozenset((each[0], each[1]) for each in waha.ROUTES), waha_scene.every_call, "X-Api-Key",
        {
            "session": "default", "chatId": CHAT, "messageId": IN_CHAT, "contactId": CHAT, "lid": "9", "phoneNumber": "33612345678",
            "phone": "33612345678", "reply_to": IN_CHAT, "limit": 5, "offset": 0, "data": waha_scene.PNG, "messages": 5, "id": GROUP,
        },
        ("session", "name"), "/api/sessions",
    ),
    "evolution": Document(
        EVOLUTION, "/evolution", frozenset((each[0], each[1]) for each in evolution.ROUTES), evolution_scene.every_call, "apikey",
        {
            "instance": "shop", "number": evolution_scene.NUMBER, "groupJid": GROUP, "remoteJid": evolution_scene.JID,
            "media": evolution_scene.PNG, "audio": evolution_scene.OGG, "delay": 1,
        },
        ("instance", "instanceName"), "/instance/",
    ),
}  # fmt: skip


def reduced(document: Document, values: dict[str, Any]) -> dict[str, Any]:
    """The document with the operations that are here, and with ``values`` as examples."""
    whole = specification_of(document.file)
    paths: dict[str, Any] = {}
    for path, operations in whole["paths"].items():
        kept = {
            each: operations[each] for each in METHODS if each in operations and (each.upper(), path) in document.routes
        }
        spare = dict.fromkeys(document.session, "spare") if path.startswith(document.ends) else {}
        if kept:
            paths[path] = _with_values(kept, values | spare)
    for path in SLIPS & paths.keys():
        paths[path]["get"]["responses"]["200"]["content"]["application/json"]["schema"] = {}
    components = {name: _with_values(each, values) for name, each in whole.get("components", {}).items()}
    return {**whole, "paths": paths, "components": {**components, "securitySchemes": {}}, "webhooks": {}}


def _with_values(part: Any, values: dict[str, Any]) -> Any:
    if isinstance(part, list):
        return [_with_values(each, values) for each in part]
    if isinstance(part, str) and part.startswith(("https://", "http://")):
        return values["url"]
    if not isinstance(part, dict):
        return part
    found = {name: _with_values(each, values) for name, each in part.items() if name != "security"}
    if found.get("in") in ("path", "query") and found.get("name") in values:
        found["example"] = values[found["name"]]
        found["schema"] = {
            name: each for name, each in found.get("schema", {}).items() if name not in ("default", "example")
        }
    for name, schema in (found.get("properties") or {}).items():
        if name in values and isinstance(schema, dict) and "$ref" not in schema:
            schema["example"] = values[name]
    return found


@pytest.mark.parametrize("name", DOCUMENTS)
async def test_answers_are_as_the_document_says(name: str, bot: Bot, tmp_path: Path) -> None:
    document = DOCUMENTS[name]
    await document.every_call(bot)
    # Examples name files in the internet.
    here = reduced(document, {**document.values, "url": str(bot.client.make_url("/livez"))})
    (tmp_path / "document.json").write_text(json.dumps(here))
    # What is no operation is answered by 501, which is no error of the service: methods, and values of a path that hold a "?".
    (tmp_path / "schemathesis.toml").write_text(
        "[phases.coverage]\nunexpected-methods = []\n"
        '[checks.not_a_server_error]\nexpected-statuses = ["2xx", "3xx", "4xx", "501"]\n'
    )
    process = await asyncio.create_subprocess_exec(
        SCHEMATHESIS, "run", "document.json", "--url", str(bot.client.make_url(document.prefix)), "--checks", CHECKS,
        "--phases", "examples,coverage,fuzzing", "--max-examples", str(examples(1)), "--seed", "1", "--no-color",
        "-H", f"{document.header}: {API_KEY}",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=tmp_path,
    )  # fmt: skip
    try:
        out, _ = await asyncio.wait_for(process.communicate(), 500)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    text = out.decode(errors="replace")
    assert process.returncode == 0, text[-6000:]
    operations = sum(len(each) for each in here["paths"].values())
    assert re.search(rf"Tested: {operations}\b", text), text[-3000:]

"""A language is added to a copy of the programs by the commands of docs/translating.md alone, and both programs offer it."""

from __future__ import annotations

import asyncio
import html
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest
from babel.messages import pofile

from shared.web.ui.words import MONTHS, NAME, NUMBER, UNITS
from tests.support import processes
from tests.support.catalogues import FOLDERS, texts
from tests.support.processes import ROOT, Client, Program, free_port
from tests.support.sessions import reaches, scanned

LANGUAGE, TAG = "pt_BR", "pt-BR"
SPEAKS = {"Accept-Language": TAG}
SPOKEN = {
    NAME: "Português",
    NUMBER: "1.234,5",
    UNITS: "d h min s",
    MONTHS: "jan fev mar abr mai jun jul ago set out nov dez",
    "{n}%": "{n}%",
}
# Names, units, codes of events and permissions, and what the simulated phone calls itself.
SAME_EVERYWHERE = {
    *("API", "UTC", "Veilleur", "Atom", "http", "message", "session", "admin", "read", "send", "main", "log"),
    *("Simulated", "phone"),
    *SPOKEN[UNITS].split(),
    *SPOKEN[MONTHS].split(),
}
OPERATOR = {"token": processes.WATCHDOG_TOKEN, "author": "1"}
# What an invented translation puts around the English words, but not around the {names} that are filled in.
INVENTED = "⟦{}⟧"


def translations(copy: Path, *arguments: str) -> None:
    """The script behind ``make translations``."""
    pybabel = str(Path(sys.executable).with_name("pybabel"))
    script = [".ci/translations.sh", *arguments]
    subprocess.run(script, cwd=copy, env={**os.environ, "PYBABEL": pybabel}, check=True, capture_output=True)


def invented(text: str) -> str:
    return re.sub(r"(\{\w+\})|([^{}]+)", lambda found: found[1] or INVENTED.format(found[2]), text)


def translate(file: Path) -> None:
    with file.open("rb") as found:
        catalogue = pofile.read_po(found)
    for message in catalogue:
        if isinstance(message.id, str) and message.id:
            message.string = SPOKEN.get(message.id, invented(message.id))
        elif message.id and message.string:
            message.string = tuple(invented(message.id[-1]) for _ in message.string)
    with file.open("wb") as written:
        pofile.write_po(written, catalogue, width=0)


async def page(http: aiohttp.ClientSession, url: str, **headers: str) -> str:
    async with http.get(url, headers=headers) as answer:
        assert answer.status == 200, url
        return await answer.text()


def english_left(body: str) -> set[str]:
    """The words of a page outside invented translations and names of languages."""
    body = re.sub(r"(?s)<(script|style|code|title).*?</\1>|<a href=\"\?lang=.*?</a>", " ", body.partition("<body")[2])
    # Values of code: message.received, WATCHDOG_TOKEN, wh-9f9db18974fed1ed.
    rest = re.sub(
        r"⟦[^⟧]*⟧|wh-\w+|\w+(?:[._]\w+)+", " ", html.unescape(re.sub(r"<[^>]*>", " ", body.partition(">")[2]))
    )
    return set(re.findall(r"[A-Za-z]{3,}", rest)) - SAME_EVERYWHERE


@pytest.mark.deep
async def test_a_language_needs_its_translations_only(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    for each in ("shared", "bot_service", "watchdog"):
        shutil.copytree(ROOT / each, copy / each)
    (copy / ".ci").mkdir()
    for each in ("pyproject.toml", ".ci/translations.sh"):
        shutil.copy2(ROOT / each, copy / each)

    await asyncio.to_thread(translations, copy, LANGUAGE)
    files = [copy / texts(folder, LANGUAGE).relative_to(ROOT) for folder in FOLDERS]
    for file in files:
        translate(file)
    await asyncio.to_thread(translations, copy)
    # Files that are in step stay as they are.
    await asyncio.to_thread(translations, copy, "--check")

    bot = processes.bot(tmp_path, WEBHOOK_ALLOW_PRIVATE="true")
    watchdog = processes.watchdog(tmp_path, bot.url)
    for program in (bot, watchdog):
        program.cwd = copy
        program.env["PYTHONPATH"] = str(copy)
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as http, bot.running(), watchdog.running():
        await offered(http, bot, "/login", "API key")
        await offered(http, watchdog, "/", "Response time")
        left = {"status page": english_left(await page(http, watchdog.url + "/", **SPEAKS))}
        await sign_in(http, bot, key=processes.API_KEY)
        for address in await filled(bot):
            left[address] = english_left(await page(http, bot.url + address, **SPEAKS))
        await sign_in(http, watchdog, **OPERATOR)
        left["/operator"] = english_left(await page(http, watchdog.url + "/operator", **SPEAKS))
        assert not any(left.values()), left


async def filled(bot: Program) -> list[str]:
    """Pages of the dashboard with something on them: a session that is linked, one that waits for a phone, a lost one, a webhook."""
    async with Client(bot.url) as api:
        for name in ("11", "22", "33"):
            await api.post("/api/sessions", {"id": name, "name": name})
        for name in ("11", "33"):
            await scanned(api, name)
        await api.post("/api/sessions/33/simulate", {"action": "logout"})
        await reaches(api, "33", "LOGGED_OUT")
        await api.post("/api/sessions/11/messages", {"to": "33612345678", "text": "0"})
        hook = (await api.post("/api/webhooks", {"url": f"http://127.0.0.1:{free_port()}"}))["id"]
    sessions = [f"/sessions/{name}{page}" for name in ("11", "22", "33") for page in ("", "/chats")]
    return [
        "/",
        "/new",
        "/webhooks",
        f"/webhooks/{hook}",
        "/deliveries?state=all",
        "/keys",
        "/live",
        "/replicas",
        *sessions,
    ]


async def sign_in(http: aiohttp.ClientSession, program: Program, **fields: str) -> None:
    headers = {"Sec-Fetch-Site": "same-origin", "Origin": program.url}
    async with http.post(program.url + "/login", data=fields, headers=headers) as answer:
        assert answer.status == 200


async def offered(http: aiohttp.ClientSession, program: Program, path: str, text: str) -> None:
    english = await page(http, program.url + path)
    assert text in english
    assert f'<a href="?lang={TAG}" lang="{TAG}" hreflang="{TAG}">Português</a>' in english
    for accept in ("pt-BR,en;q=0.5", "pt", "pt-PT"):
        body = await page(http, program.url + path, **{"Accept-Language": accept})
        assert f'<html lang="{TAG}"' in body
        assert INVENTED.format(text) in body
    async with http.get(f"{program.url}{path}?lang={TAG}", allow_redirects=False) as answer:
        assert answer.cookies["lang"].value == TAG
    http.cookie_jar.clear()

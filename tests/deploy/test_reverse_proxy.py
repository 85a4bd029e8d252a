"""The proxies of docs/reverse-proxy.md, as documented, in front of both programs: only ports and certificates differ."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from playwright.async_api import async_playwright, expect

from tests.support.browser import ARGUMENTS, goto
from tests.support.members import members
from tests.support.ports import free_port
from tests.support.processes import API_KEY, ROOT, Program, bot, watchdog
from tests.support.waiting import eventually

GUIDE = (ROOT / "docs" / "reverse-proxy.md").read_text(encoding="utf-8")
BOT, STATUS = "bot.example.com", "status.example.com"
AT_ONCE_S = 2.0
MIB = 1024 * 1024


def documented(language: str) -> str:
    """The configuration in the guide's only block of ``language``."""
    [text] = re.findall(rf"^```{language}\n(.*?)^```", GUIDE, re.M | re.S)
    return str(text)


@dataclass(frozen=True)
class Site:
    """Both programs behind one proxy. ``trust`` accepts its certificate."""

    bot: Program
    watchdog: Program
    port: int
    trust: ssl.SSLContext

    def request(self, http: aiohttp.ClientSession, method: str, path: str, host: str = BOT, **more: Any) -> Any:
        """As a client that reaches the proxy at port 443 by ``host``: context manager of the answer."""
        headers = {"Host": host, **more.pop("headers", {})}
        return http.request(
            method,
            f"https://127.0.0.1:{self.port}{path}",
            headers=headers,
            ssl=self.trust,
            server_hostname=host,
            allow_redirects=False,
            **more,
        )


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for both names and its key."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", f"/CN={BOT}", "-addext", f"subjectAltName=DNS:{BOT},DNS:{STATUS}", "-keyout", key, "-out", cert],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return cert, key


def with_ports(text: str, one: Program, other: Program) -> str:
    """The documented addresses of the programs replaced by those of the test; each must be there."""
    for program, port in ((one, 3000), (other, 3001)):
        assert f"127.0.0.1:{port}" in text
        text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{program.port}")
    return text


def nginx(folder: Path, port: int, one: Program, other: Program, cert: Path, key: Path) -> list[str]:
    sites = with_ports(documented("nginx"), one, other)
    sites = sites.replace("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;").replace("listen [::]:443 ssl;", "")
    sites = re.sub(r"(?m)^( *ssl_certificate) .*;", rf"\1 {cert};", sites)
    sites = re.sub(r"(?m)^( *ssl_certificate_key) .*;", rf"\1 {key};", sites)
    for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"):
        sites = f"{kind}_temp_path {folder / kind};\n{sites}"
    file = folder / "nginx.conf"
    file.write_text(
        f"daemon off;\nmaster_process off;\npid {folder / 'nginx.pid'};\nerror_log stderr;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{sites}\n}}\n"
    )
    return ["nginx", "-p", str(folder), "-c", str(file)]


def caddy(folder: Path, port: int, one: Program, other: Program, cert: Path, key: Path) -> list[str]:
    sites = with_ports(documented("caddy"), one, other)
    for host in (BOT, STATUS):
        assert f"{host} {{" in sites
        sites = sites.replace(f"{host} {{", f"https://{host}:{port} {{\n\tbind 127.0.0.1\n\ttls {cert} {key}\n")
    file = folder / "Caddyfile"
    file.write_text(
        "{\n\tadmin off\n\tauto_https off\n\tstorage file_system " + str(folder / "caddy") + "\n}\n" + sites
    )
    return ["caddy", "run", "--config", str(file), "--adapter", "caddyfile"]


PROXIES = {"nginx": nginx, "caddy": caddy}


@pytest.fixture(params=members(list(PROXIES)))
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    name = request.param
    if shutil.which(name) is None or shutil.which("openssl") is None:
        pytest.skip(f"needs {name} and openssl (.ci/run installs both)")
    cert, key = certificate(tmp_path)
    port = free_port()
    one = bot(tmp_path, PUBLIC_URL=f"https://{BOT}", SIMULATOR_OPTIONS="auto_pair_ms=100", WEBHOOK_ALLOW_PRIVATE="true")
    async with one.running():
        other = watchdog(tmp_path, one.url, OWN_HOSTS=STATUS, STATUS_PAGE_URL=f"https://{STATUS}")
        async with other.running():
            log = tmp_path / "proxy.log"
            with log.open("wb") as out:
                proxy = subprocess.Popen(
                    PROXIES[name](tmp_path, port, one, other, cert, key), cwd=tmp_path, stdout=out, stderr=out,
                    env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(tmp_path)},
                )  # fmt: skip
            made = Site(one, other, port, ssl.create_default_context(cafile=cert))
            try:
                async with aiohttp.ClientSession() as http:

                    async def answers() -> bool:
                        assert proxy.poll() is None, log.read_text()
                        async with made.request(http, "GET", "/health") as answer:
                            return bool(answer.status == 200)

                    await eventually(answers, what=f"{name} in front of the bot")
                yield made
            finally:
                proxy.terminate()
                await asyncio.to_thread(proxy.wait, 30)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield session


KEY = {"Authorization": f"Bearer {API_KEY}"}


@pytest.mark.system
@pytest.mark.timeout(300)
@pytest.mark.deep
async def test_a_documented_proxy_passes_all_that_the_programs_need(site: Site, http: aiohttp.ClientSession) -> None:
    # Sign in with a link that names the public address; the cookie is for TLS only.
    async with site.request(http, "POST", "/api/login-links", headers=KEY) as answer:
        link = (await answer.json())["url"]
    assert link.startswith(f"https://{BOT}/login?code=")
    code = link.partition("code=")[2]
    origin = {"Origin": f"https://{BOT}", "Sec-Fetch-Site": "same-origin"}
    async with site.request(http, "POST", "/login", headers=origin, data={"code": code}) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, "/")
        cookie = answer.headers["Set-Cookie"]
    assert "Secure" in cookie
    async with site.request(http, "GET", "/", headers={"Cookie": cookie.partition(";")[0]}) as answer:
        assert answer.status == 200
        assert "Sign out" in await answer.text()

    # An event goes through while the stream stays open.
    async with site.request(http, "GET", "/api/events", headers=KEY) as stream:
        assert stream.status == 200
        made = asyncio.get_running_loop().time()
        async with http.post(f"{site.bot.url}/api/sessions", headers=KEY, json={"id": "bob"}) as answer:
            assert answer.status == 201
        async with asyncio.timeout(AT_ONCE_S):
            while b'"bob"' not in (line := await stream.content.readline()):
                assert line, "the stream ended"
        assert asyncio.get_running_loop().time() - made < AT_ONCE_S

    # A file of the largest size by default passes, in JSON; what is larger than 32 MiB is stopped by the proxy.
    async def ready() -> bool:
        async with site.request(http, "GET", "/api/sessions/bob", headers=KEY) as found:
            return bool((await found.json())["state"] == "READY")

    await eventually(ready, what="the session")
    file = base64.b64encode(bytes(16 * MIB)).decode()
    message = {
        "to": "33612345678",
        "type": "document",
        "media": {"data": file, "fileName": "large.bin", "mimeType": "application/octet-stream"},
    }
    body = BytesIO(json.dumps(message).encode())
    headers = {**KEY, "Content-Type": "application/json"}
    async with site.request(http, "POST", "/api/sessions/bob/messages", headers=headers, data=body) as answer:
        assert answer.status == 202, await answer.text()
    too_large = BytesIO(bytes(33 * MIB))
    async with site.request(http, "POST", "/api/sessions/bob/messages", headers=headers, data=too_large) as answer:
        assert answer.status == 413

    # The status page by its own name.
    async with site.request(http, "GET", "/", host=STATUS) as answer:
        assert answer.status == 200
        assert "text/html" in answer.headers["Content-Type"]


@pytest.mark.browser
@pytest.mark.timeout(300)
@pytest.mark.deep
async def test_the_dashboard_changes_by_itself_behind_a_documented_proxy(
    site: Site, http: aiohttp.ClientSession
) -> None:
    if not Path("/usr/bin/chromium").exists():
        pytest.skip("needs Debian's Chromium (.ci/run installs it)")
    async with site.request(http, "POST", "/api/login-links", headers=KEY) as answer:
        link = (await answer.json())["url"]
    mapped = ",".join(f"MAP {host}:443 127.0.0.1:{site.port}" for host in (BOT, STATUS))
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=[*ARGUMENTS, f"--host-resolver-rules={mapped}"]
        )
        try:
            context = await browser.new_context(ignore_https_errors=True)
            page = await context.new_page()
            await goto(page, link)
            await page.get_by_role("button").last.click()
            await expect(page).to_have_url(f"https://{BOT}/")
            async with http.post(f"{site.bot.url}/api/sessions", headers=KEY, json={"id": "bob"}) as answer:
                assert answer.status == 201
            await expect(page.get_by_role("link", name="bob").first).to_be_visible(timeout=AT_ONCE_S * 1000)
            await goto(page, f"https://{STATUS}/")
            await expect(page.get_by_role("status").first).to_contain_text("running")
        finally:
            await browser.close()


def test_the_configuration_of_traefik_leads_each_name_to_its_program() -> None:
    """Debian has no Traefik: its file is read, not run."""
    found = yaml.safe_load(documented("yaml"))["http"]
    led = {}
    for router in found["routers"].values():
        [server] = found["services"][router["service"]]["loadBalancer"]["servers"]
        led[router["rule"]] = server["url"]
        assert router["tls"]["certResolver"]
    assert led == {f"Host(`{BOT}`)": "http://127.0.0.1:3000", f"Host(`{STATUS}`)": "http://127.0.0.1:3001"}

"""The client versions of the fake server: which builds it refuses, the hash of a new device, and the page it serves."""

from __future__ import annotations

import hashlib
import re
import ssl
from pathlib import Path

import aiohttp
import pytest
from neonize.proto.waWa6 import WAWebProtobufsWa6_pb2 as wa6

from tests.fake_whatsapp.control import Control
from tests.fake_whatsapp.server import FakeWhatsApp
from tests.fake_whatsapp.versions import Versions, announced_build

BUILTIN, NEW = 1_047_769_893, 1_052_000_000


def payload(build: int, *, secondary: int = 3000, build_hash: bytes | None = None) -> wa6.ClientPayload:
    made = wa6.ClientPayload(username=1, device=1)
    version = made.userAgent.appVersion
    version.primary, version.secondary, version.tertiary = 2, secondary, build
    if build_hash is not None:
        made.devicePairingData.buildHash = build_hash
    return made


def test_builds_below_the_minimum_and_listed_ones_are_refused_and_counted() -> None:
    versions = Versions()
    assert versions.failure(payload(BUILTIN)) is None
    versions.minimum, versions.refused = NEW, {NEW + 1}
    for build, refused in ((BUILTIN, True), (NEW - 1, True), (NEW, False), (NEW + 1, True), (NEW + 2, False)):
        failure = versions.failure(payload(build))
        assert (failure is not None) is refused
        assert failure is None or failure["reason"] == "405"
    assert versions.refusals == {BUILTIN: 1, NEW - 1: 1, NEW + 1: 1}


def test_a_version_of_another_kind_has_no_build() -> None:
    assert announced_build(payload(NEW, secondary=2412)) == 0
    assert announced_build(payload(NEW)) == NEW


def test_the_build_hash_must_be_that_of_the_announced_version() -> None:
    right = hashlib.md5(f"2.3000.{NEW}".encode()).digest()
    assert Versions.build_hash_fits(payload(NEW, build_hash=right))
    assert not Versions.build_hash_fits(payload(NEW + 1, build_hash=right))
    assert not Versions.build_hash_fits(payload(NEW, build_hash=b""))


@pytest.mark.parametrize(
    ("path", "pattern"), [("/", r'"client_revision":(\d+),'), ("/sw.js", r'\\"client_revision\\":(\d+)')]
)
async def test_the_page_is_served_through_the_proxy_and_publishes_what_is_set(
    tmp_path: Path, path: str, pattern: str
) -> None:
    async with FakeWhatsApp(tmp_path) as server, aiohttp.ClientSession() as http:
        trust = ssl.create_default_context(cafile=str(server.ca_file))

        async def text() -> str:
            url = f"https://web.whatsapp.com{path}"
            async with http.get(url, proxy=server.proxy_url, ssl=trust) as response:
                return await response.text() if response.status == 200 else str(response.status)

        assert re.findall(pattern, await text()) == [str(BUILTIN)]
        control = Control(server)
        await control.versions(published=NEW)
        assert re.findall(pattern, await text()) == [str(NEW)]
        await control.versions(page="503")
        assert await text() == "503"
        await control.versions(page="down")
        with pytest.raises(aiohttp.ClientError):
            await text()
        assert (await control.versions())["looks"] >= 4
        await control.reset()
        assert re.findall(pattern, await text()) == [str(BUILTIN)]

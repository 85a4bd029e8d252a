"""Where engine workers find the device store in PostgreSQL. No password is part of it: that is in a file.

The addresses are on the command lines of workers, which other users of the machine can read.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import msgspec

PASSFILE = "device-store.pgpass"
# Set here and nowhere else: the fence reads the name, and without the second one a pooler mixes statements.
OWN_PARAMETERS = frozenset({"application_name", "binary_parameters", "passfile", "password"})


class DeviceStoreAddress(msgspec.Struct, frozen=True):
    """``server`` is PostgreSQL itself, ``driver`` what the engine's library connects to: the server or a pooler."""

    server: str
    driver: str

    def for_driver(self, name: str) -> str:
        """As the library gets it, known to PostgreSQL by ``name``."""
        return f"{self.driver}&{urlencode({'binary_parameters': 'yes', 'application_name': name}, quote_via=quote)}"


def prepare(url: str, pooler_url: str | None, folder: Path) -> DeviceStoreAddress:
    """Writes the passwords of both addresses to a file in ``folder`` that only this user reads. Raises ``OSError``."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    passfile, part = folder / PASSFILE, folder / f"{PASSFILE}.part"
    urls = [url] if pooler_url is None else [url, pooler_url]
    part.unlink(missing_ok=True)
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.writelines(_password_lines(urls))
    part.rename(passfile)
    server, driver = _without_password(url, passfile), _without_password(pooler_url or url, passfile)
    return DeviceStoreAddress(server, driver)


def _without_password(url: str, passfile: Path) -> str:
    """The address with all its parts as parameters: the library's driver takes lists of servers only there."""
    parts = urlsplit(url)
    parameters = {name: value for name, value in parse_qsl(parts.query) if name not in OWN_PARAMETERS}
    if parts.username is not None:
        parameters.setdefault("user", unquote(parts.username))
    hosts, ports = _servers(parts.netloc.rpartition("@")[2])
    if any(hosts):
        parameters.setdefault("host", ",".join(hosts))
    if any(ports):
        parameters.setdefault("port", ",".join(port or "5432" for port in ports))
    # Libraries differ in their defaults: this is the one of PostgreSQL's own.
    parameters.setdefault("sslmode", "prefer")
    parameters["passfile"] = str(passfile.absolute())
    return f"postgresql:///{parts.path.lstrip('/')}?{urlencode(parameters, quote_via=quote)}"


def _servers(netloc: str) -> tuple[list[str], list[str]]:
    hosts, ports = [], []
    for server in netloc.split(","):
        host, colon, port = server.rpartition(":")
        if not colon or port.endswith("]"):
            host, port = server, ""
        hosts.append(unquote(host.strip("[]")))
        ports.append(port)
    return hosts, ports


def _password_lines(urls: Iterable[str]) -> Iterable[str]:
    for url in urls:
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query))
        password = query.get("password") or (unquote(parts.password) if parts.password is not None else "")
        if not password:
            continue
        user = query.get("user") or unquote(parts.username or "*")
        _, ports = _servers(parts.netloc.rpartition("@")[2])
        given = query.get("port") or (ports[0] if len(ports) == 1 else "")
        port = given if given.isdigit() else ("*" if len(ports) > 1 or "," in given else "5432")
        yield f"*:{port}:*:{_escaped(user)}:{_escaped(password)}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace(":", "\\:")

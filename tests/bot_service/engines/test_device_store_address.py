"""How addresses of a device store reach the engine's driver: everything but the password."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from bot_service.engines.wire import device_store


def parameters(address: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}


def test_the_password_is_in_a_file_of_this_user_only(tmp_path: Path) -> None:
    made = device_store.prepare(
        "postgresql://ann:se%3Acr%5Cet@db:5433/veilleur?sslmode=require", None, tmp_path / "run"
    )
    file = tmp_path / "run" / device_store.PASSFILE
    assert made.server == made.driver
    assert "%5C" not in made.server
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text() == "*:5433:*:ann:se\\:cr\\\\et\n"
    assert parameters(made.server) == {
        "user": "ann", "host": "db", "port": "5433", "sslmode": "require", "passfile": str(file),
    }  # fmt: skip
    assert urlsplit(made.server).path == "/veilleur"


def test_the_driver_gets_the_name_of_the_client_and_binary_parameters(tmp_path: Path) -> None:
    url = "postgresql://ann@db/veilleur?application_name=mine&binary_parameters=no&passfile=/mine"
    made = device_store.prepare(url, "postgresql://ann@pooler:6432/veilleur", tmp_path)
    assert parameters(made.server)["host"] == "db"
    driver = parameters(made.for_driver("veilleur device 3 7"))
    assert driver == {
        "user": "ann", "host": "pooler", "port": "6432", "sslmode": "prefer", "binary_parameters": "yes",
        "application_name": "veilleur device 3 7", "passfile": str(tmp_path / device_store.PASSFILE),
    }  # fmt: skip
    assert "mine" not in made.for_driver("a")


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("postgresql://a@one:5433,two:5434/d", "one,two", "5433,5434"),
        ("postgresql://a@one,two:5434/d", "one,two", "5432,5434"),
        ("postgresql://a@[::1]:5433/d", "::1", "5433"),
        ("postgresql:///d?host=/run/postgresql&user=a", "/run/postgresql", None),
    ],
)
def test_servers_of_an_address(tmp_path: Path, url: str, host: str, port: str | None) -> None:
    found = parameters(device_store.prepare(url, None, tmp_path).server)
    assert (found["host"], found.get("port"), found["user"]) == (host, port, "a")


def test_two_addresses_have_two_passwords(tmp_path: Path) -> None:
    device_store.prepare("postgresql://a:first@db/d", "postgresql://a:second@db:6432/d", tmp_path)
    lines = (tmp_path / device_store.PASSFILE).read_text().splitlines()
    assert lines == ["*:5432:*:a:first", "*:6432:*:a:second"]

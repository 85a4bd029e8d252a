"""``veilleur doctor`` says whether WhatsApp can be reached, and what to do when it cannot."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from bot_service.doctor import reached
from shared.doctor import CheckStatus
from tests.support.processes import free_port


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_server_that_takes_connections_is_reached(listening: int) -> None:
    check = reached(None, ("127.0.0.1", listening))
    assert (check.name, check.verdict, check.found) == (
        "WhatsApp",
        CheckStatus.OK,
        f"127.0.0.1:{listening} can be reached",
    )


def test_a_closed_port_and_an_unknown_name_fail_with_the_reason() -> None:
    port = free_port()
    check = reached(None, ("127.0.0.1", port))
    assert check.verdict is CheckStatus.FAILED
    assert check.found == f"127.0.0.1:{port} cannot be reached: Connection refused"
    assert "firewall" in check.todo
    check = reached(None, ("no.such.host.invalid", 443))
    assert (check.verdict, "no.such.host.invalid:443 cannot be reached: " in check.found) == (CheckStatus.FAILED, True)


def test_behind_a_proxy_it_is_the_proxy_that_must_be_reached_and_its_password_is_not_shown(listening: int) -> None:
    check = reached(f"socks5://ann:secret@127.0.0.1:{listening}", ("no.such.host.invalid", 443))
    assert (check.name, check.verdict) == ("proxy to WhatsApp", CheckStatus.OK)
    check = reached(f"http://ann:secret@127.0.0.1:{free_port()}")
    assert (check.verdict, "WHATSAPP_PROXY" in check.todo) == (CheckStatus.FAILED, True)
    assert "secret" not in check.found

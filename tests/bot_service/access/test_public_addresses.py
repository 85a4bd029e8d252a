"""Which addresses a webhook may reach, as a table."""

from __future__ import annotations

import ipaddress

import pytest

from bot_service.access.public_addresses import (
    RefusedAddress,
    is_public,
    is_reachable_url,
    public_socket,
    refusal_of_url,
)

PRIVATE = [
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "::", "::1", "fe80::1", "fc00::1", "fd12:3456::1", "fec0::1", "ff02::1", "2001:db8::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:c0a8:101::",
]  # fmt: skip
PUBLIC = ["8.8.8.8", "1.1.1.1", "172.32.0.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_is_never_dialled(address: str) -> None:
    parsed = ipaddress.ip_address(address)
    assert not is_public(parsed)
    family = 2 if parsed.version == 4 else 10
    with pytest.raises(RefusedAddress):
        public_socket((family, 1, 6, "", (address, 80)))


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


def test_a_url_with_a_private_address_is_refused_when_it_is_given() -> None:
    assert refusal_of_url("http://localhost/x")
    assert refusal_of_url("http://[::1]:80/")
    assert refusal_of_url("https://10.1.2.3/")
    assert refusal_of_url("https://example.com/") is None


def test_an_address_that_no_client_can_call_is_known_as_such() -> None:
    assert is_reachable_url("https://example.com:8443/hook?x=1")
    assert is_reachable_url("http://[2001:db8::1]/")
    for url in ("https://[::1", "https://example.com:99999/", "https:///x", "ftp://example.com/", "example.com"):
        assert not is_reachable_url(url), url

"""The proxy of a session as other APIs give it: in parts."""

from __future__ import annotations

from yarl import URL

from bot_service.domain.refused import invalid


def url_of(server: str, username: str | None, password: str | None, field: str) -> str:
    """The address with user and password. ``server``: an address, or a host and a port.

    Raises :class:`Refused` ``invalid`` for ``field``, which never quotes what was given.
    """
    try:
        url = URL(server if "://" in server else f"http://{server}")
        return str(url.with_user(username).with_password(password or None) if username else url)
    except ValueError:
        raise invalid(field, "must be an address, or a host and a port") from None

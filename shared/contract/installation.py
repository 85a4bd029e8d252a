"""What an alert needs far from the pages: the installation's name and a link."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


class Installation(msgspec.Struct, frozen=True):
    """``name`` as INSTALLATION_NAME, ``page`` the address of the program's pages; both may be empty."""

    name: str = ""
    page: str = ""

    def named(self, text: str) -> str:
        """``text`` behind the name."""
        return f"{self.name}: {text}" if self.name else text

    def signed(self, data: Mapping[str, Any], link: str = "") -> dict[str, Any]:
        """The ``data`` of an event with the name before its title and text, and with :meth:`fields`."""
        texts = {key: self.named(data[key]) for key in ("title", "text") if key in data}
        return {**data, **texts, **self.fields(link)}

    def fields(self, link: str) -> dict[str, Any]:
        """``installation`` and ``link`` for programs; what is empty is left out."""
        return {name: value for name, value in (("installation", self.name), ("link", link)) if value}


# Of a program that was given no name and no address.
UNNAMED = Installation()

"""The element of WhatsApp's binary XML: a tag, attributes and either bytes or children."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.fake_whatsapp.jid import JID

Attr = str | int | JID
Content = list["Node"] | bytes | str | None


@dataclass(slots=True)
class Node:
    """One element; `content` is None, bytes, text or a list of children."""

    tag: str
    attrs: dict[str, Attr] = field(default_factory=dict)
    content: Content = None

    def children(self) -> list[Node]:
        """The children, none when the content is bytes or absent."""
        return self.content if isinstance(self.content, list) else []

    def child(self, *path: str) -> Node | None:
        """The first descendant reached by these tags, or None."""
        node = self
        for tag in path:
            found = next((child for child in node.children() if child.tag == tag), None)
            if found is None:
                return None
            node = found
        return node

    def all(self, tag: str) -> Iterator[Node]:
        """The children with this tag."""
        return (child for child in self.children() if child.tag == tag)

    def need(self, *path: str) -> Node:
        """Like `child`, but a missing element is an error (`KeyError`)."""
        found = self.child(*path)
        if found is None:
            raise KeyError("/".join(path))
        return found

    def data(self) -> bytes:
        """The content as bytes, empty when there is none."""
        if isinstance(self.content, str):
            return self.content.encode()
        return self.content if isinstance(self.content, bytes) else b""

    def text(self, name: str) -> str:
        """An attribute as text, empty when it is absent."""
        return str(self.attrs.get(name, ""))

    def jid(self, name: str) -> JID:
        """An attribute that is an address; `KeyError` when it is none."""
        value = self.attrs.get(name)
        if not isinstance(value, JID):
            raise KeyError(name)
        return value

    def __str__(self) -> str:
        attrs = "".join(f" {key}={value}" for key, value in self.attrs.items())
        if isinstance(self.content, list):
            body = "".join(map(str, self.content))
        else:
            body = f"[{len(self.content)}]" if self.content else ""
        return f"<{self.tag}{attrs}>{body}</{self.tag}>"

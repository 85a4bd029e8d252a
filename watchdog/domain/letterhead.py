"""Gives a notice the installation's name and the link to the page on which a person can act."""

from __future__ import annotations

from urllib.parse import quote

from msgspec.structs import replace

from shared.contract.installation import Installation
from watchdog.domain.states import Notice, NoticeKind

# Their texts hold the links to the sessions.
_LINKED = (NoticeKind.ATTENTION, NoticeKind.ATTENTION_OVER)


def operator_page(page: str, incident_id: str | None = None) -> str:
    """The address of the operator's page, with an incident opened; empty when ``page`` is."""
    if not page:
        return ""
    return f"{page}/operator" + (f"?incident={quote(incident_id, safe='')}" if incident_id else "")


def signed(notice: Notice, installation: Installation) -> Notice:
    """``notice`` as the channels send it. The log and the ledger keep it without name and link."""
    link = "" if notice.kind in _LINKED else operator_page(installation.page, notice.incident_id)
    text = installation.named(notice.text)
    return replace(
        notice,
        title=installation.named(notice.title),
        text=f"{text} {link}" if link else text,
        fields=notice.fields | installation.fields(link),
    )

"""How a channel is named: by a digest of its URL, and by a label that holds none of its secrets."""

from __future__ import annotations

import hashlib

from shared.settings import Secret


def digest(url: Secret) -> str:
    """Twelve hexadecimal digits that stay the same as long as the URL does."""
    return hashlib.sha256(url.reveal().encode()).hexdigest()[:12]

"""Names of channels that contain no secret of their URL."""

from __future__ import annotations

import hashlib

from shared.settings import Secret


def digest(url: Secret) -> str:
    """Twelve hexadecimal digits, stable for a URL."""
    return hashlib.sha256(url.reveal().encode()).hexdigest()[:12]

"""The variables that an engine worker gets: what it needs and nothing else.

Its native code is fed by the network, so it must hold no key, token or address of another service.
"""

from __future__ import annotations

from collections.abc import Mapping

_NAMES = frozenset(
    {
        # where programs, libraries and temporary files are
        "PATH", "HOME", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH",
        # language and time
        "LANG", "LANGUAGE", "TZ", "TZDIR",
        # Python and the runtime of the engine's library
        "PYTHONPATH", "PYTHONHOME", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PYTHONMALLOC", "PYTHONUTF8",
        "GODEBUG", "GOGC", "GOMAXPROCS", "GOMEMLIMIT", "GOTRACEBACK", "MALLOC_ARENA_MAX",
        # the way to WhatsApp
        "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR",
        # colours of the console log
        "TERM", "NO_COLOR", "FORCE_COLOR",
    }
)  # fmt: skip
_LOWER_CASE = frozenset({"http_proxy", "https_proxy", "all_proxy", "no_proxy"})


def worker_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Those of the variables ``environ`` that a worker may see."""
    return {
        name: value
        for name, value in environ.items()
        if name in _NAMES or name in _LOWER_CASE or name.startswith("LC_")
    }

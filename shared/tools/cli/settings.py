"""Where the command line finds the programs and their keys: environment, ``.env``, or the secrets made at first start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shared.settings import Secret, environment, integer, load_or_exit, path, secret, setting, text, url
from shared.tools.dotenv import read_dotenv


@dataclass(frozen=True, kw_only=True)
class CliSettings:
    """What ``veilleur`` reads. Both programs' own variables are used, so that beside them nothing has to be set."""

    bot_url: str | None = setting("BOT_URL", url(), default=None, about="Address of the bot service")
    watchdog_url: str | None = setting(
        "WATCHDOG_URL", url(), default=None, about="Address of the watchdog, for the command line"
    )
    port: int | None = setting("PORT", integer(1, 65535), default=None, about="Port of the bot service")
    watchdog_port: int = setting("WATCHDOG_PORT", integer(1, 65535), default=3001, about="Port of the watchdog")
    railway_domain: str | None = setting("RAILWAY_PUBLIC_DOMAIN", text(), default=None, about="Public name on Railway")
    api_key: Secret | None = setting("BOT_API_KEY", secret(), default=None, about="Key of the bot service")
    watchdog_token: Secret | None = setting("WATCHDOG_TOKEN", secret(), default=None, about="Token of the watchdog")
    data_dir: Path = setting("DATA_DIR", path(), default=Path("./data"), about="Data folder")
    secrets_dir: Path | None = setting("SECRETS_DIR", path(), default=None, about="Folder of shared secrets")

    @property
    def bot(self) -> str:
        """Base address of the bot service; the original's rule for Railway included."""
        if self.bot_url:
            return self.bot_url
        if self.railway_domain:
            return f"https://{self.railway_domain}"
        return f"http://127.0.0.1:{self.port or 3000}"

    @property
    def watchdog(self) -> str:
        return self.watchdog_url or f"http://127.0.0.1:{self.watchdog_port}"

    @property
    def own(self) -> str:
        """Address of the program this machine or container runs, by ``PORT``."""
        return f"http://127.0.0.1:{self.port or 3000}"

    def bot_key(self) -> Secret | None:
        return self.api_key or self._made("bot-api-key")

    def watchdog_key(self) -> Secret | None:
        return self.watchdog_token or self._made("watchdog-token")

    def _made(self, name: str) -> Secret | None:
        # Only read, never made: a key that nobody checks against would help nobody.
        try:
            value = ((self.secrets_dir or self.data_dir / "secrets") / name).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            return None
        return Secret(value) if value else None


def read(environ: Mapping[str, str] | None = None) -> CliSettings:
    """From ``environ``, or from ``.env`` in the current folder and the process's environment, which wins.

    Exit code 2 with every fault when a variable cannot be used.
    """
    if environ is not None:
        return load_or_exit(CliSettings, environ)
    try:
        from_file = read_dotenv(Path(".env"))
    except (ValueError, OSError):
        from_file = {}
    return load_or_exit(CliSettings, {**from_file, **environment()})

"""Finds the programs and their keys: in the environment, ``.env`` or the secrets folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from shared.contract.identity import WATCHDOG
from shared.settings import Secret, environment, integer, load_or_exit, path, secret, setting, text, url
from shared.tools.cli.client import Client
from shared.tools.dotenv import read_dotenv


@dataclass(frozen=True, kw_only=True)
class CliSettings:
    """The variables of ``veilleur``: those of both programs, so none has to be set beside them."""

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
        """Base address of the bot service, by its public name on Railway."""
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
        """Address of the program of this machine or container, by ``PORT``."""
        return f"http://127.0.0.1:{self.port or 3000}"

    def bot_key(self) -> Secret | None:
        return self.api_key or self._made("bot-api-key")

    def watchdog_key(self) -> Secret | None:
        return self.watchdog_token or self._made("watchdog-token")

    def _made(self, name: str) -> Secret | None:
        # Only read, never made: no program would accept a new key.
        try:
            value = ((self.secrets_dir or self.data_dir / "secrets") / name).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            return None
        return Secret(value) if value else None


def environ() -> dict[str, str]:
    """The variables of the process, else those of ``.env`` in the current folder."""
    try:
        from_file = read_dotenv(Path(".env"))
    except (ValueError, OSError):
        from_file = {}
    return {**from_file, **environment()}


def read() -> CliSettings:
    """From :func:`environ`; exit code 2 with every fault when a variable cannot be used."""
    return load_or_exit(CliSettings, environ())


def bot() -> Client:
    """The client of the bot service."""
    found = read()
    return Client(found.bot, found.bot_key(), name="the bot service")


def watchdog() -> Client:
    """The client of the watchdog."""
    found = read()
    return Client(found.watchdog, found.watchdog_key(), name="the watchdog", timeout_s=60.0, prove_as=WATCHDOG)

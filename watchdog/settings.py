"""The variables of the watchdog: typed, frozen, with defaults and descriptions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from shared.alert_addresses import host_of
from shared.contract.installation import Installation
from shared.settings import (
    CommonSettings,
    Fault,
    Kind,
    Secret,
    boolean,
    choices,
    duration,
    integer,
    line,
    number,
    path,
    secret,
    secret_urls,
    setting,
    text,
    url,
    urls,
)
from watchdog.domain.policy import Policy

_DAY_MS = 86_400_000
_REPLICAS = 20
_PEERS = 6
_CONTAINER = r"[A-Za-z0-9][A-Za-z0-9_.-]*"


def picture_url() -> Kind:
    """A web address that can stand in a content security policy."""
    address = url()

    def parse(raw: str) -> str:
        if re.search(r"[;,'\"\s]", raw):
            raise ValueError
        return str(address.parse(raw))

    return Kind(parse, f"{address.accepts}, and without ; , quotes and spaces")


@dataclass(frozen=True, kw_only=True)
class WatchdogSettings(CommonSettings):
    """Durations are milliseconds."""

    port: int = setting("PORT", integer(0, 65_535), default=3001, about="Port of the watchdog's own pages and metrics")
    bot_url: str | None = setting(
        "BOT_URL",
        url(),
        default=None,
        shown_default="http://127.0.0.1:3000",
        about="Address of the bot service; its /health is pinged",
    )
    bot_urls: tuple[str, ...] = setting(
        "BOT_URLS", urls(), default=(), about="Addresses of several replicas, instead of BOT_URL"
    )
    railway_public_domain: str | None = setting(
        "RAILWAY_PUBLIC_DOMAIN",
        text(r"[A-Za-z0-9.-]+(:\d+)?", "a domain name"),
        default=None,
        about="Used as https://<domain> when BOT_URL is not set; Railway sets it",
    )
    enabled: bool = setting(
        "KEEP_ALIVE_ENABLED", boolean(), default=True, about="false: serve the pages, ping nothing, and show that"
    )
    interval_ms: int = setting(
        "KEEP_ALIVE_INTERVAL", duration(100, 7 * _DAY_MS), default=600_000, about="Time between two regular pings"
    )
    timeout_ms: int = setting(
        "KEEP_ALIVE_TIMEOUT",
        duration(50, 600_000),
        default=10_000,
        about="Time limit of one ping, all attempts together",
    )
    start_delay_ms: int = setting(
        "KEEP_ALIVE_START_DELAY", duration(0, 3_600_000), default=5000, about="Wait before the first ping"
    )
    failure_threshold: int = setting(
        "KEEP_ALIVE_FAILURE_THRESHOLD", integer(1, 100), default=3, about="Failed pings in a row that raise the alert"
    )
    recovery_threshold: int = setting(
        "KEEP_ALIVE_RECOVERY_THRESHOLD", integer(1, 100), default=2, about="Answered pings in a row that end the alert"
    )
    retry_interval_ms: int = setting(
        "KEEP_ALIVE_RETRY_INTERVAL",
        duration(10, 600_000),
        default=2000,
        about="Time between pings while it is not decided whether the bot is down",
    )
    down_interval_ms: int = setting(
        "KEEP_ALIVE_DOWN_INTERVAL",
        duration(10, 3_600_000),
        default=5000,
        about="Time between pings while the bot is down",
    )
    clock_steady_after_ms: int = setting(
        "CLOCK_STEADY_AFTER",
        duration(1000, _DAY_MS),
        default=600_000,
        about="A step of the wall clock is followed when it was steady for this time and no incident is open",
    )
    stats_every: int = setting(
        "KEEP_ALIVE_STATS_EVERY",
        integer(1, 100_000),
        default=10,
        about="Number of pings between two statistics blocks in the log",
    )
    push_interval_ms: int = setting(
        "KEEP_ALIVE_PUSH_INTERVAL",
        duration(500, 3_600_000),
        default=30_000,
        about="Statistics are pushed to the bot after each ping and at least this often",
    )
    canary_urls: tuple[str, ...] = setting(
        "CANARY_URLS",
        urls(),
        default=(),
        about="Addresses that nearly always answer; requested when a ping fails, to distinguish the bot's fault from the watchdog's own",
    )
    degraded_session_share: float = setting(
        "DEGRADED_SESSION_SHARE",
        number(0.0, 1.0),
        default=0.5,
        about="DEGRADED when more than this share of the wanted sessions is not ready",
    )
    degraded_after_ms: int = setting(
        "DEGRADED_AFTER",
        duration(0, _DAY_MS),
        default=60_000,
        about="How long the share must last before it is reported",
    )
    flap_changes: int = setting(
        "FLAP_CHANGES",
        integer(2, 1000),
        default=12,
        about="FLAPPING after this number of changes between up and down in 15 minutes; an unannounced restart counts as two",
    )
    flap_stable_ms: int = setting(
        "FLAP_STABLE", duration(1000, _DAY_MS), default=600_000, about="FLAPPING ends after this time without a change"
    )
    alert_urls: tuple[Secret, ...] = setting(
        "ALERT_URLS",
        secret_urls(),
        default=(),
        about="Where alerts go: http(s):// or webhook(s):// for a plain JSON webhook, alertmanager(s)://host,host2 for Alertmanagers, any other scheme through apprise",
    )
    alert_fallback_urls: tuple[Secret, ...] = setting(
        "ALERT_FALLBACK_URLS", secret_urls(), default=(), about="Channels that are used when ALERT_URLS fail"
    )
    alert_webhook_secret: Secret | None = setting(
        "ALERT_WEBHOOK_SECRET", secret(), default=None, about="Signs the plain webhooks (Standard Webhooks headers)"
    )
    deadman_url: Secret | None = setting(
        "DEADMAN_URL",
        secret(8),
        default=None,
        about="Called after every complete cycle (healthchecks-compatible); when the calls stop, the watchdog is dead",
    )
    name: str = setting(
        "WATCHDOG_NAME",
        text(r"[A-Za-z0-9][A-Za-z0-9 _.-]{0,39}", "up to 40 letters, digits, spaces and _.-"),
        default="watchdog",
        about="Name of this watchdog in alerts about itself and on the pages of its peers, for example its region",
    )
    peers: tuple[str, ...] = setting(
        "WATCHDOG_PEERS",
        urls(),
        default=(),
        about="Addresses of the other watchdogs of the same bots; DOWN is then decided together (docs/two-watchdogs.md)",
    )
    peer_grace_ms: int = setting(
        "PEER_GRACE",
        duration(6000, 600_000),
        default=15_000,
        about="How long a watchdog of WATCHDOG_PEERS that is absent or cannot see keeps its vote",
    )
    status_page_url: str | None = setting(
        "STATUS_PAGE_URL",
        url(),
        default=None,
        about="Address at which people reach the watchdog's pages; alerts and the dashboard link to it, the start shows it",
    )
    bot_api_key: Secret | None = setting(
        "BOT_API_KEY", secret(), default=None, about="For repairs by the bot's API; read from SECRETS_DIR when unset"
    )
    remediation: tuple[str, ...] = setting(
        "REMEDIATION",
        choices("none", "bot", "docker", "railway"),
        default=(),
        shown_default="none",
        about="Ways to repair, mildest first",
    )
    remediation_dry_run: bool = setting(
        "REMEDIATION_DRY_RUN", boolean(), default=False, about="Decide and record repairs without doing them"
    )
    remediation_lock: Secret | None = setting(
        "REMEDIATION_LOCK",
        secret(8),
        default=None,
        about="postgresql://… that all watchdogs of the same bots share: only the holder of the lease in it repairs",
    )
    docker_socket: Path = setting(
        "DOCKER_SOCKET", path(), default=Path("/var/run/docker.sock"), about="Docker's socket, for REMEDIATION=docker"
    )
    docker_container: str = setting(
        "DOCKER_CONTAINER",
        text(rf"{_CONTAINER}(\s*,\s*{_CONTAINER})*", "a container's name, or one for each of BOT_URLS with commas"),
        default="bot",
        about="What REMEDIATION=docker restarts: a container's name, or a compose service's; one for each of BOT_URLS",
    )
    railway_api_token: Secret | None = setting(
        "RAILWAY_API_TOKEN",
        secret(8),
        default=None,
        about="For REMEDIATION=railway: a token of an account or workspace",
    )
    railway_token: Secret | None = setting(
        "RAILWAY_TOKEN",
        secret(8),
        default=None,
        about="A token of one project's environment, instead of RAILWAY_API_TOKEN",
    )
    railway_api_url: str = setting(
        "RAILWAY_API_URL", url(), default="https://backboard.railway.com/graphql/v2", about="Railway's API"
    )
    railway_service_id: str | None = setting(
        "RAILWAY_BOT_SERVICE_ID",
        text(),
        default=None,
        about="The bot's service on Railway; with commas one for each of BOT_URLS",
    )
    railway_environment_id: str | None = setting(
        "RAILWAY_ENVIRONMENT_ID", text(), default=None, about="The environment on Railway; Railway sets it"
    )

    status_page_title: str | None = setting(
        "STATUS_PAGE_TITLE",
        line(60),
        default=None,
        shown_default="INSTALLATION_NAME, else Veilleur",
        about="What the status page calls your service",
    )
    status_page_logo: str | None = setting(
        "STATUS_PAGE_LOGO",
        picture_url(),
        default=None,
        about="Address of a picture that the status page shows beside its title",
    )
    status_page_accent: str | None = setting(
        "STATUS_PAGE_ACCENT",
        text("#[0-9A-Fa-f]{6}", "a colour as #rrggbb"),
        default=None,
        about="Colour of links and buttons of the status page; made darker or lighter where text could not be read",
    )
    status_page_public: bool = setting(
        "STATUS_PAGE_PUBLIC",
        boolean(),
        default=True,
        about="false: the status page, its API and the badge need a token",
    )
    status_page_token: Secret | None = setting(
        "STATUS_PAGE_TOKEN", secret(), default=None, about="Token that may read the status; WATCHDOG_TOKEN may too"
    )

    @property
    def targets(self) -> dict[str, str]:
        """Base address by target name: ``bot``, ``bot-2``, …"""
        addresses = self.bot_urls or (self.bot_url or self._railway() or "http://127.0.0.1:3000",)
        return {("bot" if at == 0 else f"bot-{at + 1}"): address for at, address in enumerate(addresses)}

    @property
    def targets_from(self) -> str:
        """The variable that :attr:`targets` come from."""
        if self.bot_urls:
            return "BOT_URLS"
        return "RAILWAY_PUBLIC_DOMAIN" if self.railway_public_domain and not self.bot_url else "BOT_URL"

    @property
    def installed(self) -> Installation:
        """What alerts say of this installation."""
        return Installation(self.installation or "", self.status_page_url or "")

    @property
    def page_title(self) -> str:
        """What the status page calls the service."""
        return self.status_page_title or self.installation or "Veilleur"

    @property
    def docker_containers(self) -> dict[str, str]:
        """The container of each target, in the order of the addresses."""
        return dict(zip(self.targets, _listed(self.docker_container), strict=False))

    @property
    def railway_services(self) -> dict[str, str]:
        """The Railway service of each target, in the order of the addresses."""
        return dict(zip(self.targets, _listed(self.railway_service_id), strict=False))

    @property
    def repairs_by(self) -> tuple[str, ...]:
        """The remediators; empty when repairs are off."""
        return tuple(name for name in self.remediation if name != "none")

    @property
    def policy(self) -> Policy:
        """The settings as the decisions use them."""
        return Policy(
            interval_ms=self.interval_ms,
            retry_ms=self.retry_interval_ms,
            down_interval_ms=self.down_interval_ms,
            threshold=self.failure_threshold,
            recovery=self.recovery_threshold,
            flap_changes=self.flap_changes,
            flap_stable_ms=self.flap_stable_ms,
            degraded_share=self.degraded_session_share,
            degraded_after_ms=self.degraded_after_ms,
            name=self.name,
            peers=len(self.peers),
            peer_grace_ms=self.peer_grace_ms,
        )

    @property
    def database_path(self) -> Path:
        return self.data_dir / "watchdog.db"

    def _railway(self) -> str | None:
        return f"https://{self.railway_public_domain}" if self.railway_public_domain else None

    def _one_each(self, value: str) -> bool:
        """Whether ``value`` names another thing for each target: repairs hit no other bot."""
        names = _listed(value)
        return len(names) == len(set(names)) == len(self.targets)

    def faults(self) -> list[Fault]:
        """Faults between variables."""
        found: list[Fault] = []
        if self.bot_url and self.bot_urls:
            found.append(Fault("BOT_URLS", " ".join(self.bot_urls), "either BOT_URL or BOT_URLS, not both"))
        if len(self.bot_urls) > _REPLICAS:
            found.append(Fault("BOT_URLS", str(len(self.bot_urls)), f"at most {_REPLICAS} addresses"))
        if len(self.peers) > _PEERS:
            found.append(Fault("WATCHDOG_PEERS", str(len(self.peers)), f"at most {_PEERS} addresses"))
        if len(set(self.peers)) != len(self.peers):
            found.append(Fault("WATCHDOG_PEERS", " ".join(self.peers), "every address once"))
        if len(set(self.bot_urls)) != len(self.bot_urls):
            found.append(Fault("BOT_URLS", " ".join(self.bot_urls), "every address once"))
        if "none" in self.remediation and len(self.remediation) > 1:
            found.append(Fault("REMEDIATION", ",".join(self.remediation), "none, or a list without it"))
        if "railway" in self.remediation:
            needed = {
                "RAILWAY_API_TOKEN": self.railway_api_token or self.railway_token,
                "RAILWAY_BOT_SERVICE_ID": self.railway_service_id,
                "RAILWAY_ENVIRONMENT_ID": self.railway_environment_id,
            }
            found += [
                Fault(name, None, "required by REMEDIATION=railway") for name, value in needed.items() if not value
            ]
        for name, value, of in (
            ("DOCKER_CONTAINER", self.docker_container, "docker"),
            ("RAILWAY_BOT_SERVICE_ID", self.railway_service_id, "railway"),
        ):
            if of in self.remediation and value and not self._one_each(value):
                count = len(self.targets)
                wanted = "one name" if count == 1 else f"{count} different names with commas, one for each of BOT_URLS"
                found.append(Fault(name, value, f"{wanted}, for REMEDIATION={of}"))
        if self.remediation_lock is not None and not _is_database(self.remediation_lock.reveal()):
            found.append(Fault("REMEDIATION_LOCK", None, "an address postgresql://user:password@host:port/database"))
        if self.deadman_url is not None and not _is_web_address(self.deadman_url.reveal()):
            found.append(Fault("DEADMAN_URL", None, "a URL that begins with http:// or https://"))
        return found


def _is_web_address(address: str) -> bool:
    try:
        host_of(address)
    except ValueError:
        return False
    return bool(re.match(r"https?://", address))


def _is_database(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return parts.scheme in ("postgresql", "postgres") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _listed(value: str | None) -> list[str]:
    return [name.strip() for name in (value or "").split(",") if name.strip()]

"""Every variable of the bot service: typed, frozen, read once, all faults reported together."""

from __future__ import annotations

from dataclasses import dataclass

from bot_service.domain import client_version
from bot_service.domain.components import Component
from bot_service.engines.version_page import DEFAULT_URL
from bot_service.setting_kinds import command, component_list, simulator_options, whatsapp_version
from bot_service.store_settings import StoreSettings
from shared.contract.installation import Installation
from shared.settings import (
    Fault,
    Secret,
    boolean,
    choice,
    choices,
    duration,
    integer,
    secret,
    secret_urls,
    setting,
    text,
    url,
)

DAY_MS = 86_400_000
YEAR_MS = 366 * DAY_MS


@dataclass(frozen=True, kw_only=True)
class BotSettings(StoreSettings):
    port: int = setting("PORT", integer(0, 65535), default=3000, about="Port of the bot service")
    bot_api_key: Secret | None = setting(
        "BOT_API_KEY",
        secret(),
        default=None,
        about="Administrator's key for /api; created at the first start in SECRETS_DIR when unset",
    )
    started_with: str | None = setting(
        "STARTED_WITH",
        text(),
        default=None,
        about="Command that started this program, for the hints at the end of the start; make up and compose set it",
    )
    status_page_url: str | None = setting(
        "STATUS_PAGE_URL",
        url(),
        default=None,
        about="Address of the status page for people; shown at the start, and the link in alerts",
    )
    public_url: str | None = setting(
        "PUBLIC_URL",
        url(),
        default=None,
        shown_default="http://localhost:PORT",
        about="Address at which people reach the dashboard, for login links and to know its own pages",
    )
    railway_public_domain: str | None = setting(
        "RAILWAY_PUBLIC_DOMAIN",
        text(r"[A-Za-z0-9.-]+(:\d+)?", "a domain name"),
        default=None,
        about="https://<domain> is the default of PUBLIC_URL; Railway sets it",
    )
    status_components: tuple[Component, ...] = setting(
        "STATUS_COMPONENTS",
        component_list(),
        default=(),
        about="Groups of sessions that the watchdog's status page shows by these names: Lyon=owner:lyon, Support=sessions:support-*",
    )
    public_stats: bool = setting(
        "PUBLIC_STATS",
        boolean(),
        default=True,
        about="GET /api/keepalive and GET /api/metrics answer without a key; false closes both",
    )

    # Sessions
    session_inactive_timeout_ms: int = setting(
        "SESSION_INACTIVE_TIMEOUT",
        duration(1000, YEAR_MS),
        default=DAY_MS,
        about="A session without any activity for this time is closed",
    )
    session_max_age_ms: int = setting(
        "SESSION_MAX_AGE",
        duration(1000, 10 * YEAR_MS),
        default=7 * DAY_MS,
        about="A session older than this is recycled or closed",
    )
    session_cleanup_interval_ms: int = setting(
        "SESSION_CLEANUP_INTERVAL",
        duration(1000, 30 * DAY_MS),
        default=3_600_000,
        about="Time between two checks for expired sessions",
    )
    session_expiry_action: str = setting(
        "SESSION_EXPIRY_ACTION",
        choice("auto", "close", "recycle"),
        default="auto",
        about="auto closes inactive sessions and recycles paired ones at their maximum age; close and recycle force one",
    )
    session_start_timeout_ms: int = setting(
        "SESSION_START_TIMEOUT",
        duration(1000, 3_600_000),
        default=60_000,
        about="A start or a connect that takes longer is tried again",
    )
    session_transitions_kept: int = setting(
        "SESSION_TRANSITIONS_KEPT", integer(1, 1000), default=50, about="Stored transitions per session"
    )

    # Messages and webhooks
    dialects: tuple[str, ...] = setting(
        "DIALECTS",
        choices("none", "waha", "evolution", "mcp"),
        default=("waha", "evolution", "mcp"),
        shown_default="waha,evolution,mcp",
        about="Other APIs that this service speaks: waha under /waha, evolution under /evolution, mcp (Model Context Protocol) at /mcp",
    )
    waha_port: int | None = setting(
        "WAHA_PORT",
        integer(1, 65535),
        default=None,
        about="A second port on which WAHA's paths begin at the root, for clients that cannot have a path in their base URL",
    )
    webhook_allow_private: bool = setting(
        "WEBHOOK_ALLOW_PRIVATE",
        boolean(),
        default=False,
        about="Webhooks may go to, and files to send come from, private addresses (this machine, the local network)",
    )
    webhook_timeout_ms: int = setting(
        "WEBHOOK_TIMEOUT",
        duration(100, 300_000),
        default=10_000,
        about="Time limit of one delivery, including the answer",
    )
    webhook_retry_for_ms: int = setting(
        "WEBHOOK_RETRY_FOR",
        duration(1000, 30 * DAY_MS),
        default=DAY_MS,
        about="A delivery that has failed for this time becomes a dead letter, which can be replayed",
    )
    webhook_concurrency: int = setting(
        "WEBHOOK_CONCURRENCY", integer(1, 100), default=4, about="Deliveries in flight to one webhook"
    )
    send_per_minute: int = setting(
        "SEND_PER_MINUTE",
        integer(0, 60_000),
        default=60,
        about="Messages one session sends in a minute; 0 for no limit",
    )
    send_burst: int = setting(
        "SEND_BURST", integer(1, 10_000), default=20, about="Messages one session may send at once within its rate"
    )
    send_new_chats_per_hour: int = setting(
        "SEND_NEW_CHATS_PER_HOUR",
        integer(0, 100_000),
        default=30,
        about="First messages to new chats that one session sends in an hour; 0 for no limit",
    )
    send_new_chats_burst: int = setting(
        "SEND_NEW_CHATS_BURST", integer(1, 10_000), default=5, about="First messages to new chats at once"
    )
    send_expire_ms: int = setting(
        "SEND_EXPIRE",
        duration(1000, 30 * DAY_MS),
        default=DAY_MS,
        about="A message that has waited for this time fails",
    )
    send_queue_limit: int = setting(
        "SEND_QUEUE_LIMIT",
        integer(1, 1_000_000),
        default=10_000,
        about="Maximum number of waiting messages per session",
    )
    media_max_bytes: int = setting(
        "MEDIA_MAX_BYTES",
        integer(1, 22 * 1024 * 1024),
        default=16 * 1024 * 1024,
        about="Maximum size of one file to send",
    )
    message_retention_ms: int = setting(
        "MESSAGE_RETENTION", duration(60_000, 10 * YEAR_MS), default=30 * DAY_MS, about="How long messages are stored"
    )
    clock_steady_after_ms: int = setting(
        "CLOCK_STEADY_AFTER",
        duration(1000, DAY_MS),
        default=600_000,
        about="After a step of the wall clock nothing expires until it was steady for this time; then it is followed",
    )
    events_kept: int = setting(
        "EVENTS_KEPT",
        integer(100, 10_000_000),
        default=100_000,
        about="Number of newest events that /api/events can resume from",
    )

    # Alerts
    alert_urls: tuple[Secret, ...] = setting(
        "ALERT_URLS",
        secret_urls(),
        default=(),
        about="Where the bot service sends alerts about a silent watchdog, an outdated client or a session that nothing heals: http(s):// or webhook(s)://",
    )
    alert_webhook_secret: Secret | None = setting(
        "ALERT_WEBHOOK_SECRET", secret(), default=None, about="Signs those alerts (Standard Webhooks headers)"
    )

    # Engine
    engine: str = setting(
        "ENGINE", choice("neonize", "simulator"), default="neonize", about="Engine that connects to WhatsApp"
    )
    engine_sessions_per_worker: int = setting(
        "ENGINE_SESSIONS_PER_WORKER", integer(1, 10_000), default=50, about="Sessions in one engine worker process"
    )
    engine_worker_command: tuple[str, ...] | None = setting(
        "ENGINE_WORKER_COMMAND",
        command(),
        default=None,
        shown_default="",
        about="Command that starts an engine worker, for tests",
    )
    worker_orphan_grace_ms: int = setting(
        "WORKER_ORPHAN_GRACE",
        duration(1000, DAY_MS),
        default=60_000,
        about="An engine worker without a connection to a bot service ends after this time; until then it receives messages",
    )
    worker_max_rss_mb: int = setting(
        "WORKER_MAX_RSS_MB",
        integer(100, 1_000_000),
        default=1024,
        about="An engine worker with more resident memory is replaced; its sessions move without losing a message",
    )
    worker_max_descriptors: int = setting(
        "WORKER_MAX_DESCRIPTORS",
        integer(100, 1_000_000),
        default=4096,
        about="An engine worker with more open descriptors is replaced in the same way",
    )
    simulator_options: dict[str, str] | None = setting(
        "SIMULATOR_OPTIONS",
        simulator_options(),
        default=None,
        shown_default="",
        about="Options of the simulator, such as auto_pair_ms=500,seed=7 (docs/simulator.md)",
    )
    whatsapp_proxy: str | None = setting(
        "WHATSAPP_PROXY",
        url("http", "https", "socks5", userinfo=True),
        default=None,
        about="Proxy through which the engine dials WhatsApp",
    )
    whatsapp_version: client_version.Setting = setting(
        "WHATSAPP_VERSION",
        whatsapp_version(),
        default=client_version.Setting(),
        shown_default="auto",
        about="Client version announced to WhatsApp: auto follows the published one, builtin is the engine's own, or 2.3000.N",
    )
    whatsapp_version_url: str = setting(
        "WHATSAPP_VERSION_URL",
        url(),
        default=DEFAULT_URL,
        about="Page on which WhatsApp publishes its client version; read once a day and after a refusal, with WHATSAPP_VERSION=auto",
    )

    # Reconnecting
    reconnect_first_delay_ms: int = setting(
        "RECONNECT_FIRST_DELAY",
        duration(10, 3_600_000),
        default=2000,
        about="Ceiling of the first random wait before a reconnect; doubles with every try",
    )
    reconnect_max_delay_ms: int = setting(
        "RECONNECT_MAX_DELAY", duration(10, DAY_MS), default=300_000, about="Ceiling of every random wait"
    )
    reconnect_take_over_ms: int = setting(
        "RECONNECT_TAKE_OVER",
        duration(100, DAY_MS),
        default=300_000,
        about="Time that an engine has to reconnect by itself before its client is started again",
    )
    reconnect_per_minute: int = setting(
        "RECONNECT_PER_MINUTE",
        integer(1, 1_000_000),
        default=500,
        about="Herd limit: reconnects begun in one minute over all sessions; replicas divide it",
    )
    boot_concurrency: int = setting(
        "BOOT_CONCURRENCY", integer(1, 10_000), default=64, about="Session starts in flight at one time"
    )
    boot_stagger_ms: int = setting(
        "BOOT_STAGGER", duration(0, 60_000), default=10, about="Time between two session starts at boot"
    )

    # Readiness
    frame_fresh_ms: int = setting(
        "FRAME_FRESH_FOR",
        duration(100, 3_600_000),
        default=60_000,
        about="A session is not READY when its last frame is older than this",
    )
    receive_probe: str = setting(
        "RECEIVE_PROBE",
        choice("off", "ring", "self"),
        default="off",
        about="Active check of the receive path: a message to another session of this service (ring) or to the own account (self)",
    )
    receive_probe_interval_ms: int = setting(
        "RECEIVE_PROBE_INTERVAL",
        duration(100, DAY_MS),
        default=120_000,
        about="Time between two probes of one session that received nothing else",
    )
    receive_probe_timeout_ms: int = setting(
        "RECEIVE_PROBE_TIMEOUT",
        duration(100, 3_600_000),
        default=45_000,
        about="A probe that does not come back within this time raises suspicion",
    )

    @property
    def reached_at(self) -> str | None:
        """The address at which people reach the dashboard, where it is known."""
        return self.public_url or (f"https://{self.railway_public_domain}" if self.railway_public_domain else None)

    @property
    def installed(self) -> Installation:
        """What alerts say of this installation."""
        return Installation(self.installation or "", self.reached_at or "")

    @property
    def shares_devices(self) -> bool:
        """Whether the devices of sessions are in PostgreSQL for all replicas, and not files in DATA_DIR."""
        return self.replica_url is not None and self.engine != "simulator"

    def faults(self) -> list[Fault]:
        """Variables judged together."""
        found = self.store_faults()
        if self.replica_url is not None:
            found.extend(self._replica_faults())
        if self.reconnect_max_delay_ms < self.reconnect_first_delay_ms:
            found.append(
                Fault("RECONNECT_MAX_DELAY", str(self.reconnect_max_delay_ms), "at least RECONNECT_FIRST_DELAY")
            )
        if self.stall_exit_ms < self.stall_dump_ms:
            found.append(Fault("LOOP_STALL_EXIT", str(self.stall_exit_ms), "at least LOOP_STALL_DUMP"))
        return found

    def _replica_faults(self) -> list[Fault]:
        found = []
        for name, secret_given in (("BOT_API_KEY", self.bot_api_key), ("WATCHDOG_TOKEN", self.watchdog_token)):
            if secret_given is None:
                found.append(Fault(name, None, "a secret", "all replicas need the same one"))
        return found

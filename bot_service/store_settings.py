"""The variables of the database, and of several services that share one."""

from __future__ import annotations

from dataclasses import dataclass

from bot_service.setting_kinds import database_url, object_store_url, pooler_url
from shared.settings import CommonSettings, Fault, Secret, boolean, choice, duration, setting, url

_MISSING = "replicas have not been tested over long times yet"


@dataclass(frozen=True, kw_only=True)
class StoreSettings(CommonSettings):
    database_url: Secret | None = setting(
        "DATABASE_URL",
        database_url(),
        default=None,
        shown_default="sqlite:///DATA_DIR/bot.db",
        about="Database for sessions, messages and deliveries; PostgreSQL is refused until several services can share one",
    )
    postgresql_preview: bool = setting(
        "POSTGRESQL_PREVIEW",
        boolean(),
        default=False,
        about="Accepts PostgreSQL in DATABASE_URL all the same, for tests",
    )
    replica_url: str | None = setting(
        "REPLICA_URL",
        url(),
        default=None,
        about="Address at which other replicas reach this one; set, this service shares the sessions of its PostgreSQL with them",
    )
    replica_lease_ms: int = setting(
        "REPLICA_LEASE",
        duration(1000, 60_000),
        default=5000,
        about="Time after which others take over the sessions of a replica that does not renew its lease",
    )
    device_store_url: Secret | None = setting(
        "DEVICE_STORE_URL",
        pooler_url(),
        default=None,
        shown_default="DATABASE_URL",
        about="PgBouncer in transaction mode in front of DATABASE_URL, for the devices of replicas; recommended above 100 sessions",
    )
    device_store_async: str = setting(
        "DEVICE_STORE_ASYNC",
        choice("refuse", "accept"),
        default="refuse",
        about="Whether replicas run on a PostgreSQL without a synchronous standby: its loss may make the next sent messages unreadable",
    )
    media_url: Secret | None = setting(
        "MEDIA_URL",
        object_store_url(),
        default=None,
        about="Object store for files of messages of replicas: s3://<key id>:<secret>@<bucket>/<prefix>?region=…&endpoint=…; in PostgreSQL when unset",
    )

    @property
    def store_url(self) -> str:
        """The store's address with its default filled in."""
        return self.database_url.reveal() if self.database_url else f"sqlite:///{self.data_dir / 'bot.db'}"

    def store_faults(self) -> list[Fault]:
        """Variables judged together."""
        found = []
        sqlite = self.store_url.startswith("sqlite:")
        if not sqlite and not self.postgresql_preview:
            why = f"PostgreSQL is not ready for production: {_MISSING}"
            found.append(Fault("DATABASE_URL", None, "sqlite:///<path>", why))
        if self.replica_url is not None and sqlite:
            why = "replicas share a DATABASE_URL of PostgreSQL"
            found.append(Fault("REPLICA_URL", self.replica_url, "none with SQLite", why))
        if self.device_store_url is not None and self.replica_url is None:
            found.append(Fault("DEVICE_STORE_URL", None, "none without REPLICA_URL", "devices are files in DATA_DIR"))
        if self.media_url is not None and self.replica_url is None:
            found.append(Fault("MEDIA_URL", None, "none without REPLICA_URL", "files of messages are in DATA_DIR"))
        return found

-- The watchdog's ledger. Times are milliseconds since the epoch (wall clock, UTC); durations are milliseconds.
-- One writer (the ledger's own thread); every decision is one transaction: result, state, flip, incident, outbox rows.

CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;

-- One run of the watchdog process; a row left open was ended by a crash, its end is then the last beat written.
CREATE TABLE run (
    boot_id TEXT PRIMARY KEY,
    started_at INTEGER NOT NULL,
    last_seen_at INTEGER NOT NULL,
    ended_at INTEGER,
    version TEXT NOT NULL
) STRICT;

CREATE TABLE result (
    id INTEGER PRIMARY KEY,
    target TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    cause TEXT NOT NULL,               -- schedule, confirm, heartbeat, recovery, manual
    started_at INTEGER NOT NULL,
    ended_at INTEGER NOT NULL,
    outcome TEXT NOT NULL,             -- ok, target_fail, self_fail, unknown
    reason TEXT NOT NULL,              -- stable code: connect_refused, timeout, http_500, refused_401, dns, loop_stall, …
    latency_ms REAL,
    detail TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX result_by_time ON result (target, ended_at);

CREATE TABLE attempt (
    id INTEGER PRIMARY KEY,
    result_id INTEGER NOT NULL REFERENCES result (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    duration_ms REAL NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT NOT NULL
) STRICT;
CREATE INDEX attempt_by_result ON attempt (result_id);

-- The folded state of one target, as JSON of watchdog.domain.target.TargetState; restored at start.
CREATE TABLE target_state (target TEXT PRIMARY KEY, state TEXT NOT NULL, updated_at INTEGER NOT NULL) STRICT;

CREATE TABLE flip (
    id INTEGER PRIMARY KEY,
    target TEXT NOT NULL,
    at INTEGER NOT NULL,               -- when it was decided
    since INTEGER NOT NULL,            -- when it began, computed (first failure, last beat)
    old_state TEXT NOT NULL,
    new_state TEXT NOT NULL,
    reason TEXT NOT NULL,
    incident_id TEXT
) STRICT;
CREATE INDEX flip_by_time ON flip (target, at);

CREATE TABLE incident (
    id TEXT PRIMARY KEY,
    target TEXT NOT NULL,
    kind TEXT NOT NULL,                -- down, flapping, degraded, blind, refused
    opened_at INTEGER NOT NULL,        -- when it began
    decided_at INTEGER NOT NULL,       -- when it was noticed for sure
    closed_at INTEGER,
    reason TEXT NOT NULL,
    close_reason TEXT,
    acknowledged_at INTEGER,
    acknowledged_by TEXT,
    reminders INTEGER NOT NULL DEFAULT 0,
    last_notice_at INTEGER
) STRICT;
CREATE INDEX incident_open ON incident (target, kind) WHERE closed_at IS NULL;
CREATE INDEX incident_by_time ON incident (opened_at);

-- A notice is a message for the channels; its id is stable over tries, channels and restarts.
CREATE TABLE notice (
    id TEXT PRIMARY KEY,
    incident_id TEXT,
    target TEXT NOT NULL,
    kind TEXT NOT NULL,                -- down, up, restarted, flapping, degraded, blind, refused, reminder, channel_failing, repair_budget, was_down, test
    created_at INTEGER NOT NULL,
    payload TEXT NOT NULL              -- JSON: title, text, fields
) STRICT;
CREATE INDEX notice_by_incident ON notice (incident_id);

-- One row per notice and channel. A channel is named by a digest of its URL, never by the URL.
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY,
    notice_id TEXT NOT NULL REFERENCES notice (id) ON DELETE CASCADE,
    channel TEXT NOT NULL,
    role TEXT NOT NULL,                -- primary, fallback
    state TEXT NOT NULL,               -- waiting, leased, done, merged, muted, expired
    created_at INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    leased_until INTEGER,
    done_at INTEGER,
    reason TEXT NOT NULL DEFAULT '',
    UNIQUE (notice_id, channel)
) STRICT;
CREATE INDEX outbox_due ON outbox (due_at) WHERE state IN ('waiting', 'leased');

CREATE TABLE delivery (
    id INTEGER PRIMARY KEY,
    outbox_id INTEGER NOT NULL REFERENCES outbox (id) ON DELETE CASCADE,
    at INTEGER NOT NULL,
    duration_ms REAL NOT NULL,
    ok INTEGER NOT NULL,
    reason TEXT NOT NULL               -- ok, http_500, http_429, timeout, dns, connect_refused, …
) STRICT;
CREATE INDEX delivery_by_outbox ON delivery (outbox_id);

CREATE TABLE repair (
    id TEXT PRIMARY KEY,
    target TEXT NOT NULL,
    incident_id TEXT,
    remediator TEXT NOT NULL,          -- bot, docker, railway
    action TEXT NOT NULL,              -- reconnect_session, recycle_worker, restart_container, restart_deployment, …
    decided_at INTEGER NOT NULL,
    started_at INTEGER,
    ended_at INTEGER,
    result TEXT NOT NULL,              -- planned, running, done, failed, dry_run, abandoned
    detail TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX repair_by_time ON repair (target, decided_at);

-- A maintenance window always ends: until_at is mandatory.
CREATE TABLE pause (
    id TEXT PRIMARY KEY,
    target TEXT NOT NULL,
    from_at INTEGER NOT NULL,
    until_at INTEGER NOT NULL,
    author TEXT NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    ended_at INTEGER
) STRICT;

-- Stretches of time by what was known of the target: up, down, unknown, maintenance. The open one has no end.
CREATE TABLE stretch (
    id INTEGER PRIMARY KEY,
    target TEXT NOT NULL,
    kind TEXT NOT NULL,
    from_at INTEGER NOT NULL,
    until_at INTEGER
) STRICT;
CREATE INDEX stretch_by_time ON stretch (target, from_at);

-- Totals over all restarts, for `lifetime` of /api/keepalive.
CREATE TABLE total (
    target TEXT PRIMARY KEY,
    first_started_at INTEGER NOT NULL,
    uptime_ms INTEGER NOT NULL DEFAULT 0,
    pings INTEGER NOT NULL DEFAULT 0,
    failed_pings INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Events that are no change of state: restarted, stop_announced, link_lost, link_up, watchdog_gap, clock_step, …
CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    target TEXT NOT NULL,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL DEFAULT '',
    incident_id TEXT
) STRICT;
CREATE INDEX event_by_time ON event (target, at);

-- What delivery needs: how each channel fares, and the few rows that still wait, found without reading the others.

CREATE TABLE channel (
    channel TEXT PRIMARY KEY,          -- digest of the URL
    label TEXT NOT NULL,               -- scheme and host, safe to print
    failures INTEGER NOT NULL DEFAULT 0,      -- in a row
    failing_since INTEGER,
    retry_at INTEGER NOT NULL DEFAULT 0,      -- the backlog waits until then
    asked_until INTEGER NOT NULL DEFAULT 0,   -- Retry-After: nothing at all is sent before
    seen_row INTEGER NOT NULL DEFAULT 0,      -- newest outbox row when it last failed; what came later is tried at once
    last_ok_at INTEGER,
    last_reason TEXT NOT NULL DEFAULT '',
    reported INTEGER NOT NULL DEFAULT 0       -- whether the other channels got a notice of this run of failures
) STRICT;

ALTER TABLE outbox ADD COLUMN escalated INTEGER NOT NULL DEFAULT 0;

CREATE INDEX outbox_by_channel ON outbox (channel, due_at) WHERE state IN ('waiting', 'leased');
CREATE INDEX outbox_not_escalated ON outbox (created_at)
    WHERE state IN ('waiting', 'leased') AND role = 'primary' AND escalated = 0;
CREATE INDEX notice_by_time ON notice (created_at);

-- What customers read: announcements, and the text of a maintenance window. When a channel failed last.

CREATE TABLE announcement (
    id TEXT PRIMARY KEY,
    title TEXT NOT NULL,
    text TEXT NOT NULL DEFAULT '',
    severity TEXT NOT NULL,            -- info, problem
    created_at INTEGER NOT NULL,
    until_at INTEGER,
    author TEXT NOT NULL,
    ended_at INTEGER
) STRICT;
CREATE INDEX announcement_by_time ON announcement (created_at);

ALTER TABLE pause ADD COLUMN text TEXT NOT NULL DEFAULT '';
ALTER TABLE pause ADD COLUMN created_at INTEGER NOT NULL DEFAULT 0;

ALTER TABLE channel ADD COLUMN last_failed_at INTEGER;
ALTER TABLE channel ADD COLUMN last_failure TEXT NOT NULL DEFAULT '';

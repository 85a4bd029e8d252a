-- What other watchdogs recorded while this one did not see; shown with their names.

CREATE TABLE peer_stretch (
    id INTEGER PRIMARY KEY,
    target TEXT NOT NULL,
    watchdog TEXT NOT NULL,
    kind TEXT NOT NULL,
    from_at INTEGER NOT NULL,
    until_at INTEGER NOT NULL
) STRICT;
CREATE INDEX peer_stretch_by_time ON peer_stretch (target, from_at);
CREATE INDEX stretch_unknown ON stretch (target, until_at) WHERE kind = 'unknown';

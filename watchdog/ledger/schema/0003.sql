-- Sessions that need a person and were reported by this watchdog, until their end is reported too.

CREATE TABLE attention (
    target TEXT NOT NULL,
    session TEXT NOT NULL,
    since INTEGER NOT NULL,            -- when it began, as the bot says: another time is another need
    PRIMARY KEY (target, session)
) STRICT;

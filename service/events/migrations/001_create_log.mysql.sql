-- Times are milliseconds since 1970 by the clock of the database.
CREATE TABLE IF NOT EXISTS portico_event_head (
    id smallint NOT NULL PRIMARY KEY,  -- 1: there is one row
    position bigint NOT NULL,          -- the number of the last event
    dropped_to bigint NOT NULL,        -- the last event that was deleted before all durable subscriptions had it
    cleaned_at bigint NOT NULL
);

INSERT IGNORE INTO portico_event_head (id, position, dropped_to, cleaned_at) VALUES (1, 0, 0, 0);

CREATE TABLE IF NOT EXISTS portico_events (
    id bigint NOT NULL PRIMARY KEY,
    topic varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    payload longtext NOT NULL,         -- JSON
    metadata longtext,                 -- JSON
    size bigint NOT NULL,              -- bytes, about
    origin varchar(64) NOT NULL,       -- the process that published it
    created_at bigint NOT NULL
);

CREATE TABLE IF NOT EXISTS portico_event_subscriptions (
    id varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL PRIMARY KEY,
    topics text NOT NULL,              -- JSON, sorted
    position bigint NOT NULL,          -- the last event that was handled
    owner varchar(64),                 -- the process that handles them
    lease_until bigint,
    seen_at bigint NOT NULL            -- when a replica with the subscription was there last
);

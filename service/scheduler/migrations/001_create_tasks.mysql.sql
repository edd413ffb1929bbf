-- Times are milliseconds since 1970 by the clock of the database.
CREATE TABLE IF NOT EXISTS portico_scheduler_tasks (
    id varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL PRIMARY KEY,
    settings text NOT NULL,
    next_run_at bigint,               -- NULL: only when triggered
    ready_at bigint,                  -- when a replica may take the task: next_run_at, or the end of the lease while it runs
    owner varchar(64),                -- the process that runs it
    started_at bigint,
    cancel_requested smallint NOT NULL DEFAULT 0,
    last_ended_at bigint,
    last_error text,                  -- JSON
    INDEX portico_scheduler_tasks_ready_at (ready_at)
);

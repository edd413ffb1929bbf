CREATE TABLE IF NOT EXISTS used_attempts (
	id varchar(255) NOT NULL PRIMARY KEY,
	used_at timestamptz NOT NULL
);

-- The tables are there already if Backstage has used the database.
CREATE TABLE IF NOT EXISTS signing_keys (
	kid varchar(255) NOT NULL PRIMARY KEY,
	created_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
	"key" text NOT NULL
);

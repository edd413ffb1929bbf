CREATE TABLE IF NOT EXISTS user_info (
	user_entity_ref varchar(255) NOT NULL PRIMARY KEY,
	user_info text NOT NULL,
	updated_at timestamptz NOT NULL,
	created_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE IF NOT EXISTS offline_sessions (
	id varchar(255) NOT NULL PRIMARY KEY,
	user_entity_ref varchar(255) NOT NULL,
	oidc_client_id varchar(255),
	token_hash text NOT NULL,
	created_at timestamptz NOT NULL,
	last_used_at timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS offline_sessions_user_idx ON offline_sessions (user_entity_ref);

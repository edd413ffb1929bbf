CREATE TABLE IF NOT EXISTS offline_sessions (
	id varchar(255) NOT NULL PRIMARY KEY,
	user_entity_ref varchar(255) NOT NULL,
	oidc_client_id varchar(255),
	token_hash text NOT NULL,
	created_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
	last_used_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
	INDEX offline_sessions_user_idx (user_entity_ref)
);

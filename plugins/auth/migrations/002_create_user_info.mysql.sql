CREATE TABLE IF NOT EXISTS user_info (
	user_entity_ref varchar(255) NOT NULL PRIMARY KEY,
	user_info longtext NOT NULL,
	updated_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
	created_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE IF NOT EXISTS user_info (
	user_entity_ref varchar(255) NOT NULL PRIMARY KEY,
	user_info text NOT NULL,
	updated_at datetime NOT NULL,
	created_at datetime NOT NULL DEFAULT CURRENT_TIMESTAMP
);

-- As in Backstage, whose table may be there already.
CREATE TABLE IF NOT EXISTS user_settings (
	user_entity_ref varchar(255) NOT NULL,
	bucket varchar(255) NOT NULL,
	key varchar(255) NOT NULL,
	value text NOT NULL,
	PRIMARY KEY (user_entity_ref, bucket, key)
);

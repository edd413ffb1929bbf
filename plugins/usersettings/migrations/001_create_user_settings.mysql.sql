-- As in Backstage, whose table may be there already; but names that differ in case are different.
CREATE TABLE IF NOT EXISTS user_settings (
	user_entity_ref varchar(255) NOT NULL,
	bucket varchar(255) NOT NULL,
	`key` varchar(255) NOT NULL,
	value longtext NOT NULL,
	PRIMARY KEY (user_entity_ref, bucket, `key`)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

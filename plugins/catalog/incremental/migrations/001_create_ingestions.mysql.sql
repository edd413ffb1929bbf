-- What the providers do: the present ingestion of each. Times are milliseconds since 1970.
CREATE TABLE IF NOT EXISTS ingestions (
  provider_name varchar(100) PRIMARY KEY,
  id char(36) NOT NULL,
  status varchar(32) NOT NULL,
  next_action varchar(32) NOT NULL,
  next_action_at bigint NOT NULL,
  last_error longtext,
  attempts integer NOT NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The pages that the ingestions have gone through, each with the cursor of the page after it.
CREATE TABLE IF NOT EXISTS ingestion_marks (
  provider_name varchar(100) NOT NULL,
  ingestion_id char(36) NOT NULL,
  sequence integer NOT NULL,
  id char(36) NOT NULL,
  next_cursor longtext,
  created_at bigint NOT NULL,
  PRIMARY KEY (provider_name, ingestion_id, sequence)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What the providers have brought, and in which ingestion they last did.
CREATE TABLE IF NOT EXISTS ingestion_mark_entities (
  provider_name varchar(100) NOT NULL,
  ref varchar(200) NOT NULL,
  ingestion_id char(36) NOT NULL,
  PRIMARY KEY (provider_name, ref)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

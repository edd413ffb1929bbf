-- What the providers do: the present ingestion of each. Times are milliseconds since 1970.
CREATE TABLE IF NOT EXISTS ingestions (
  provider_name varchar(100) PRIMARY KEY,
  id char(36) NOT NULL,
  status varchar(32) NOT NULL,
  next_action varchar(32) NOT NULL,
  next_action_at bigint NOT NULL,
  last_error text,
  attempts integer NOT NULL
);

-- The pages that the ingestions have gone through, each with the cursor of the page after it.
CREATE TABLE IF NOT EXISTS ingestion_marks (
  provider_name varchar(100) NOT NULL,
  ingestion_id char(36) NOT NULL,
  sequence integer NOT NULL,
  id char(36) NOT NULL,
  next_cursor text,
  created_at bigint NOT NULL,
  PRIMARY KEY (provider_name, ingestion_id, sequence)
);

-- What the providers have brought, and in which ingestion they last did.
CREATE TABLE IF NOT EXISTS ingestion_mark_entities (
  provider_name varchar(100) NOT NULL,
  ref varchar(200) NOT NULL,
  ingestion_id char(36) NOT NULL,
  PRIMARY KEY (provider_name, ref)
);

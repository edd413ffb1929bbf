-- Entities that providers and other entities have brought, and when each is processed next (milliseconds since 1970).
CREATE TABLE refresh_state (
  entity_ref varchar(200) PRIMARY KEY,
  entity_id char(36) NOT NULL UNIQUE,
  location_key text NOT NULL,
  unprocessed_hash varchar(64) NOT NULL,
  next_update_at bigint NOT NULL
);
CREATE INDEX refresh_state_next_update_at ON refresh_state (next_update_at);

-- Their content as it came. It is a table of its own so that moving next_update_at does not copy it.
CREATE TABLE ingested_entities (
  entity_ref varchar(200) PRIMARY KEY,
  entity text NOT NULL
);

-- Who brought an entity: "@" and the name of a provider, or the ref of the entity whose processing emitted it.
CREATE TABLE refresh_state_references (
  source varchar(200) NOT NULL,
  target_entity_ref varchar(200) NOT NULL,
  PRIMARY KEY (source, target_entity_ref)
);
CREATE INDEX refresh_state_references_target ON refresh_state_references (target_entity_ref);

-- What processing made of an entity the last time it succeeded (nothing: it never did), and the errors of the last time.
CREATE TABLE processed_entities (
  entity_ref varchar(200) PRIMARY KEY,
  entity text NOT NULL,
  relations text NOT NULL,
  errors text NOT NULL,
  result_hash varchar(64) NOT NULL
);

-- The relations that processing one entity has given to others. Those that it gave to the entity itself are in processed_entities only.
CREATE TABLE relations (
  source_entity_ref varchar(200) NOT NULL,
  originating_entity_ref varchar(200) NOT NULL,
  type varchar(64) NOT NULL,
  target_entity_ref varchar(200) NOT NULL,
  PRIMARY KEY (source_entity_ref, originating_entity_ref, type, target_entity_ref)
);

-- Entities whose final form has to be made anew.
CREATE TABLE stitch_queue (
  entity_ref varchar(200) PRIMARY KEY
);

-- Entities as they are served.
CREATE TABLE final_entities (
  entity_ref varchar(200) PRIMARY KEY,
  entity_id char(36) NOT NULL UNIQUE,
  entity text NOT NULL,
  hash varchar(64) NOT NULL
);

-- All changes of final entities, in the order in which they were committed.
CREATE TABLE entity_log (
  seq bigint PRIMARY KEY,
  entity_ref varchar(200) NOT NULL,
  entity_id char(36) NOT NULL,
  action varchar(16) NOT NULL,
  at bigint NOT NULL
);

-- The end of the log. Whoever writes to the catalog locks this row first and until it commits: so the order of seq is that of commits.
CREATE TABLE entity_log_head (
  id integer PRIMARY KEY,
  seq bigint NOT NULL
);
INSERT INTO entity_log_head (id, seq) VALUES (1, 0);

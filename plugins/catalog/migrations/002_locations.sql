-- Locations that were registered over the API.
CREATE TABLE locations (
  id char(36) PRIMARY KEY,
  type varchar(100) NOT NULL,
  target text NOT NULL,
  entity_ref varchar(200) NOT NULL
);
CREATE INDEX locations_entity_ref ON locations (entity_ref);

-- What entities were made of, to process them anew when something of that name has changed. The key is hashed: it may be long.
CREATE TABLE refresh_keys (
  entity_ref varchar(200) NOT NULL,
  key_hash varchar(64) NOT NULL,
  PRIMARY KEY (entity_ref, key_hash)
);
CREATE INDEX refresh_keys_key_hash ON refresh_keys (key_hash);

-- What processing an entity remembers for the next time.
ALTER TABLE processed_entities ADD COLUMN memory text NOT NULL DEFAULT '';

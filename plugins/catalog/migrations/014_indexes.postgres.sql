-- Locations are looked up by what they point to, which may be too long for an index of another kind; entities with errors are few among many.
CREATE INDEX locations_target ON locations USING hash (target);
CREATE INDEX processed_entities_failed ON processed_entities (entity_ref) WHERE errors <> '[]';

-- Nobody looks for final entities by their uids.
ALTER TABLE final_entities DROP CONSTRAINT final_entities_entity_id_key;

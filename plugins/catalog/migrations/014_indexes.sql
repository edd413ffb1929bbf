-- Locations are looked up by what they point to; entities with errors are few among many.
CREATE INDEX locations_target ON locations (target);
CREATE INDEX processed_entities_failed ON processed_entities (entity_ref) WHERE errors <> '[]';

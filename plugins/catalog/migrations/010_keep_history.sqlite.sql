-- Why an entity changed, and what it was before (compressed JSON; nothing where there was none): the history of an entity is its entries, and
-- what it is now.
ALTER TABLE entity_log ADD COLUMN cause text NOT NULL DEFAULT '';
ALTER TABLE entity_log ADD COLUMN previous blob;
CREATE INDEX entity_log_entity_ref ON entity_log (entity_ref, seq);

-- The time of the last entry, which none that follows is before; and that of the last one that was deleted for its age.
ALTER TABLE entity_log_head ADD COLUMN at bigint NOT NULL DEFAULT 0;
ALTER TABLE entity_log_head ADD COLUMN forgotten_at bigint NOT NULL DEFAULT -1;

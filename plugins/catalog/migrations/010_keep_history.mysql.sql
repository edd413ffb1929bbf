-- Why an entity changed, and what it was before (compressed JSON; nothing where there was none): the history of an entity is its entries, and
-- what it is now.
ALTER TABLE entity_log
  ADD COLUMN cause varchar(512) NOT NULL DEFAULT '',
  ADD COLUMN previous longblob,
  ADD INDEX entity_log_entity_ref (entity_ref, seq);

-- The time of the last entry, which none that follows is before; and that of the last one that was deleted for its age.
ALTER TABLE entity_log_head
  ADD COLUMN at bigint NOT NULL DEFAULT 0,
  ADD COLUMN forgotten_at bigint NOT NULL DEFAULT -1;

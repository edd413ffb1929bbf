-- Entities that only the catalog itself reads are compressed. Those that are not yet are read as they are.
ALTER TABLE ingested_entities ALTER COLUMN entity TYPE bytea USING convert_to(entity, 'UTF8');
ALTER TABLE processed_entities ALTER COLUMN entity TYPE bytea USING convert_to(entity, 'UTF8');

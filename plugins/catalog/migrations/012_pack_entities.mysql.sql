-- Entities that only the catalog itself reads are compressed. Those that are not yet are read as they are.
ALTER TABLE ingested_entities MODIFY entity longblob NOT NULL;
ALTER TABLE processed_entities MODIFY entity longblob NOT NULL;

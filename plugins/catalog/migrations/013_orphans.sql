-- Entities that nobody brings any more, unless somebody does again.
CREATE TABLE orphans (
  entity_ref varchar(200) PRIMARY KEY
);

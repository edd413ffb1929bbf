-- Entities that nobody brings any more, unless somebody does again.
CREATE TABLE orphans (
  entity_ref varchar(200) PRIMARY KEY
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

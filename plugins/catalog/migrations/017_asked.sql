-- A number that is another one each time that somebody asks for the entity to be processed. If it has changed since processing began, storing the
-- result does not postpone the entity: what was asked for may not be in it.
ALTER TABLE refresh_state ADD COLUMN asked bigint NOT NULL DEFAULT 0;

-- Locations are looked up by what they point to.
CREATE INDEX locations_target ON locations (target(191));

ALTER TABLE oidc_clients ADD COLUMN expires_at datetime;

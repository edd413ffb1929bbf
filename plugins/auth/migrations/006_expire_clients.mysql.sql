ALTER TABLE oidc_clients ADD COLUMN expires_at timestamp NULL;

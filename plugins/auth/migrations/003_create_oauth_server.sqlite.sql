CREATE TABLE IF NOT EXISTS oidc_clients (
	client_id varchar(255) NOT NULL PRIMARY KEY,
	client_secret varchar(255) NOT NULL,
	client_name varchar(255) NOT NULL,
	response_types text NOT NULL,
	grant_types text NOT NULL,
	redirect_uris text NOT NULL,
	scope text,
	metadata text
);
CREATE TABLE IF NOT EXISTS oauth_authorization_sessions (
	id varchar(255) NOT NULL PRIMARY KEY,
	client_id varchar(255) NOT NULL,
	user_entity_ref varchar(255),
	redirect_uri text NOT NULL,
	scope text,
	state text,
	response_type varchar(255) NOT NULL,
	code_challenge varchar(255),
	code_challenge_method varchar(255),
	nonce varchar(255),
	status varchar(255) DEFAULT 'pending',
	expires_at datetime NOT NULL
);
CREATE TABLE IF NOT EXISTS oidc_authorization_codes (
	code varchar(255) NOT NULL PRIMARY KEY,
	session_id varchar(255) NOT NULL REFERENCES oauth_authorization_sessions (id) ON DELETE CASCADE,
	expires_at datetime NOT NULL,
	used boolean DEFAULT false
);

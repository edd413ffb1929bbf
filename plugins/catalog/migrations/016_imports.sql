-- Full imports that run: each replaces what a provider has imported, so that there is one at a time. Times are milliseconds since 1970.
CREATE TABLE imports (
  provider varchar(100) PRIMARY KEY,
  holder varchar(36) NOT NULL,
  expires_at bigint NOT NULL
);

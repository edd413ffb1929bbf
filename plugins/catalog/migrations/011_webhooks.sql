-- How far each webhook has got, by the numbers of the log, and how it is doing. Times are milliseconds since 1970; zero is never.
CREATE TABLE webhooks (
  id varchar(100) PRIMARY KEY,
  seq bigint NOT NULL,
  lost boolean NOT NULL,
  delivered_at bigint NOT NULL,
  failures integer NOT NULL,
  failing_since bigint NOT NULL,
  next_attempt_at bigint NOT NULL,
  disabled_at bigint NOT NULL,
  last_error text NOT NULL
);

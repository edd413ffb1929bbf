// Package database gives each plugin a database of its own, on SQLite, PostgreSQL or MySQL (and MariaDB), and brings its tables up to
// date.
//
// [Services] declares the *bun.DB of plugins. It is opened when a plugin asks for it, and closed when the backend stops; a plugin that
// doesn't ask has none. The database is created if it is missing, by the name that it has in Backstage. If the server can't be reached,
// the start waits for it (backend.database.connectTimeout, 30 seconds by default) and then fails. Connections that get lost later are
// replaced.
//
// # Configuration
//
// The keys are Backstage's, below backend.database. Without them, each plugin has an SQLite database in memory.
//
//	backend:
//	  database:
//	    client: pg                      # better-sqlite3, pg, mysql2
//	    connection:                     # or a URL: postgres://user:password@host:5432
//	      host: db.example.com
//	      user: portal
//	      password: ${POSTGRES_PASSWORD}
//	      ssl: { ca: { $file: ca.pem } }
//	    prefix: backstage_plugin_       # the catalog's database is backstage_plugin_catalog
//	    pluginDivisionMode: database    # schema: one database, and one pool of connections, for all plugins (PostgreSQL)
//	    knexConfig: { pool: { max: 10 } }
//	    connectTimeout: 30s             # beyond Backstage's keys
//	    plugin:
//	      catalog: { connection: { database: catalog } }
//
// Also ensureExists, ensureSchemaExists, schemaPrefix, role and skipMigrations. For SQLite the connection is ':memory:' or
// { directory: ./data }, with a file <plugin>.sqlite for each plugin. Logins by a cloud's identity (connection.type azure, rds,
// cloudsql) are not supported.
//
// # SQLite
//
// Databases in files are in WAL mode: readers never wait. Those who write take turns, in the order in which they came, so that nobody
// gets the error that the database is locked. A transaction is a writer's from its beginning, unless it is read-only
// (sql.TxOptions.ReadOnly). In memory, readers and writers take turns. Code that uses the database while it has a transaction open would
// wait for itself: it gets an error after 30 seconds.
//
// # PostgreSQL
//
// In division by databases each plugin has a pool of up to knexConfig.pool.max connections (10), in division by schemas all plugins
// share one (of 20); connections that idle for a minute are closed. A plugin sees its schema through the search_path, which belongs to
// the connection: leave it alone. Queries run by the extended protocol without being prepared first, as fits bun, which writes the
// arguments into the statement. A hot query with arguments can have its plan kept by passing pgx.QueryExecModeCacheStatement as its
// first argument. [Postgres] leads to what is below database/sql, for COPY and LISTEN.
//
// # MySQL
//
// Sessions are in strict mode and in UTC.
//
// # Migrations
//
// [Migrate] runs the SQL files of a plugin or module, which it finds in any folder of a file system. Their names are a number, an
// underscore and what the file does. A file for one kind of database is named after it, and stands in for the general one with the
// same number and name:
//
//	001_create_todos.sql
//	002_search_todos.sql
//	002_search_todos.postgres.sql    (.sqlite, .mysql)
//
// They run in the order of their numbers, forward only: files that end in .down.sql are left out, .up.sql is the same as .sql. A file
// may have any number of statements. On SQLite and PostgreSQL they run in a transaction, so that statements that can't (CREATE INDEX
// CONCURRENTLY, VACUUM) are not possible. MySQL commits each statement that defines tables: there, a file that failed half-way runs
// again from its beginning, so it should have one such statement, or ones that can be repeated (IF NOT EXISTS). For statements with
// semicolons in them, DELIMITER is understood as in MySQL's client.
//
// What ran is recorded in the table portico_migrations, with a checksum.
package database

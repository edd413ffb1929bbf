package database

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/portico-dev/portico/service"
)

const (
	defaultPrefix         = "backstage_plugin_"
	defaultConnectTimeout = 30 * time.Second
	defaultPoolMax        = 10

	clientSQLite   = "sqlite"
	clientPostgres = "PostgreSQL"
	clientMySQL    = "MySQL"
)

// settings is backend.database.
type settings struct {
	Client             string
	Connection         any
	Prefix             string
	SchemaPrefix       string
	EnsureExists       *bool
	EnsureSchemaExists *bool
	PluginDivisionMode string
	Role               string
	SkipMigrations     bool
	KnexConfig         knexSettings
	ConnectTimeout     time.Duration
	Plugin             map[string]pluginSettings
}

// pluginSettings is backend.database.plugin.<id>.
type pluginSettings struct {
	Client             string
	Connection         any
	EnsureExists       *bool
	EnsureSchemaExists *bool
	Role               string
	SkipMigrations     *bool
	KnexConfig         knexSettings
}

// knexSettings is what is understood of knexConfig.
type knexSettings struct {
	Pool struct {
		Min *int
		Max *int
	}
}

// target is where and how to open the database of a plugin.
type target struct {
	pluginID   string
	client     string
	key        string // the configuration key of the connection, for messages
	server     string // host and port, for messages
	connection connection
	database   string // empty: what the server takes as default
	schema     string // PostgreSQL: empty in division by databases
	role       string
	create     bool // the database
	createSch  bool // the schema
	poolMin    int
	poolMax    int

	sharedPoolMin int // of the pool that the plugins of a server share
	sharedPoolMax int

	unsupported []string
}

func decodeSettings(config service.Config) (settings, error) {
	var s settings
	if err := config.Decode("backend.database", &s); err != nil {
		return s, err
	}
	if s.Client == "" && s.Connection == nil {
		s.Client, s.Connection = "better-sqlite3", ":memory:"
	}
	s.Prefix = cmp.Or(s.Prefix, defaultPrefix)
	s.PluginDivisionMode = cmp.Or(s.PluginDivisionMode, "database")
	s.ConnectTimeout = cmp.Or(s.ConnectTimeout, defaultConnectTimeout)
	if s.PluginDivisionMode != "database" && s.PluginDivisionMode != "schema" {
		return s, fmt.Errorf("backend.database.pluginDivisionMode: %q is not supported; use database or schema", s.PluginDivisionMode)
	}
	if s.SchemaPrefix != "" && !schemaPrefix.MatchString(s.SchemaPrefix) {
		return s, fmt.Errorf("backend.database.schemaPrefix: %q must begin with a letter or an underscore, followed by letters, digits "+
			"and underscores", s.SchemaPrefix)
	}
	// What plugins configure for themselves is checked here too, so that a mistake shows before any of them starts.
	errs := []error{}
	if _, err := s.target("a"); err != nil {
		errs = append(errs, err)
	} else {
		for _, id := range slices.Sorted(maps.Keys(s.Plugin)) {
			_, err := s.target(id)
			errs = append(errs, err)
		}
	}
	return s, errors.Join(errs...)
}

var schemaPrefix = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

func (s settings) skipMigrations(pluginID string) bool {
	return orElse(s.Plugin[pluginID].SkipMigrations, s.SkipMigrations)
}

// target merges what is configured for the plugin into what is configured for all, by Backstage's rules: a plugin with another client
// doesn't inherit the connection; a database name is inherited only in division by schemas.
func (s settings) target(pluginID string) (target, error) {
	p := s.Plugin[pluginID]
	t := target{pluginID: pluginID, key: "backend.database.connection"}

	client, clientKey := s.Client, "backend.database.client"
	overridden := p.Client != "" && p.Client != s.Client
	if overridden {
		client, clientKey = p.Client, "backend.database.plugin."+pluginID+".client"
	}
	var err error
	if t.client, err = clientOf(client, clientKey); err != nil {
		return t, err
	}

	base := connection{}
	if !overridden {
		if s.Connection == nil && p.Connection == nil {
			return t, fmt.Errorf("backend.database.connection is missing: client %s needs one", client)
		}
		if base, err = parseConnection(t.client, s.Connection, t.key); err != nil {
			return t, err
		}
		if file := base.text("filename"); file != "" && file != ":memory:" && t.client == clientSQLite {
			return t, errors.New("backend.database.connection: a file can't be shared by plugins; set connection.directory, or the " +
				"file of each plugin at backend.database.plugin.<id>.connection")
		}
		if s.PluginDivisionMode != "schema" {
			delete(base, "database")
		}
	}
	own, err := parseConnection(t.client, p.Connection, "backend.database.plugin."+pluginID+".connection")
	if err != nil {
		return t, err
	}
	if len(own) > 0 || overridden {
		t.key = "backend.database.plugin." + pluginID + ".connection"
	}
	if dir := own.text("directory"); dir != "" && own.text("filename") == "" {
		delete(base, "filename")
	}
	t.connection = base
	maps.Copy(t.connection, own)
	if err := t.connection.checkType(t.key); err != nil {
		return t, err
	}

	t.database = t.connection.text("database")
	if s.PluginDivisionMode == "schema" {
		if t.client != clientPostgres {
			return t, fmt.Errorf("backend.database.pluginDivisionMode: client %s doesn't support schema, only pg does", client)
		}
		t.schema = s.SchemaPrefix + pluginID
	} else if t.database == "" {
		t.database = s.Prefix + pluginID
	}
	for _, name := range []string{t.database, t.schema} {
		if t.client == clientPostgres && len(name) > 63 || t.client == clientMySQL && len(name) > 64 {
			return t, fmt.Errorf("database of plugin %s: the name %q is too long for %s (backend.database.prefix and schemaPrefix are "+
				"part of such names)", pluginID, name, t.client)
		}
	}
	t.role = cmp.Or(p.Role, s.Role)
	t.create = orElse(p.EnsureExists, orElse(s.EnsureExists, true))
	t.createSch = t.create || orElse(p.EnsureSchemaExists, orElse(s.EnsureSchemaExists, false))

	if t.sharedPoolMin, t.sharedPoolMax, err = s.KnexConfig.pool("backend.database", 2*defaultPoolMax); err != nil {
		return t, err
	}
	pool := p.KnexConfig
	pool.Pool.Min, pool.Pool.Max = cmp.Or(pool.Pool.Min, s.KnexConfig.Pool.Min), cmp.Or(pool.Pool.Max, s.KnexConfig.Pool.Max)
	if t.poolMin, t.poolMax, err = pool.pool("backend.database.plugin."+pluginID, defaultPoolMax); err != nil {
		return t, err
	}

	if t.client != clientSQLite {
		port := "5432"
		if t.client == clientMySQL {
			port = "3306"
		}
		t.server = net.JoinHostPort(cmp.Or(t.connection.text("host"), "localhost"), cmp.Or(t.connection.text("port"), port))
	}
	t.unsupported = t.connection.unsupported(t.client)
	return t, nil
}

func (k knexSettings) pool(key string, defaultMost int) (least, most int, err error) {
	most = orElse(k.Pool.Max, defaultMost)
	least = orElse(k.Pool.Min, 0)
	if most < 1 || least < 0 || least > most {
		return 0, 0, fmt.Errorf("%s.knexConfig.pool: min (%d) and max (%d) must be 0 ≤ min ≤ max, and max at least 1", key, least, most)
	}
	return least, most, nil
}

func clientOf(name, key string) (string, error) {
	switch name {
	case "better-sqlite3", "sqlite3", "sqlite":
		return clientSQLite, nil
	case "pg":
		return clientPostgres, nil
	case "mysql2", "mysql":
		return clientMySQL, nil
	case "":
		return "", fmt.Errorf("%s is missing; use better-sqlite3, pg or mysql2", key)
	}
	return "", fmt.Errorf("%s: %q is not supported; use better-sqlite3, pg or mysql2", key, name)
}

// connection are the settings of a connection, by their names in the configuration.
type connection map[string]any

// parseConnection reads a connection that is configured as a string or as an object. Its errors don't show the value: it may hold a
// password.
func parseConnection(client string, value any, key string) (connection, error) {
	switch v := value.(type) {
	case nil:
		return connection{}, nil
	case map[string]any:
		c := maps.Clone(connection(v))
		text := c.text("connectionString")
		if text == "" {
			return c, nil
		}
		delete(c, "connectionString")
		parsed, err := parseConnection(client, text, key+".connectionString")
		maps.Copy(parsed, c)
		return parsed, err
	case string:
		switch client {
		case clientSQLite:
			return connection{"filename": v}, nil
		case clientPostgres:
			return parseURL(v, key, "postgres", "postgresql")
		default:
			return parseURL(v, key, "mysql")
		}
	}
	return nil, fmt.Errorf("%s must be a string or an object", key)
}

func parseURL(text, key string, schemes ...string) (connection, error) {
	u, err := url.Parse(text)
	if err != nil || !slices.Contains(schemes, u.Scheme) || u.Opaque != "" {
		return nil, fmt.Errorf("%s is not a URL like %s://user:password@host:port/database (characters such as @ : / ? # %% in user and "+
			"password are written as %%40 and so on; the value is not shown because it may hold a password)", key, schemes[0])
	}
	c := connection{}
	set := func(name, value string) {
		if value != "" {
			c[name] = value
		}
	}
	set("host", u.Hostname())
	set("port", u.Port())
	set("user", u.User.Username())
	password, _ := u.User.Password()
	set("password", password)
	set("database", strings.TrimPrefix(u.Path, "/"))
	for name, values := range u.Query() {
		set(name, values[0])
	}
	return c, nil
}

// text is a setting that is text, a number or a boolean, as text.
func (c connection) text(name string) string {
	switch v := c[name].(type) {
	case nil, map[string]any, []any:
		return ""
	default:
		return fmt.Sprint(v)
	}
}

// checkType refuses the connections that get their passwords from a cloud.
func (c connection) checkType(key string) error {
	switch kind := c.text("type"); kind {
	case "", "default":
		return nil
	case "azure", "rds":
		return fmt.Errorf("%s.type: %q (a login by the cloud's identity) is not supported; set user and password of a database user, "+
			"and remove type", key, kind)
	case "cloudsql":
		return fmt.Errorf("%s.type: %q is not supported; run the Cloud SQL Auth Proxy beside the backend, set its host and port, and "+
			"remove type", key, kind)
	default:
		return fmt.Errorf("%s.type: %q is unknown; remove it", key, kind)
	}
}

// unsupported lists the settings that the client doesn't know.
func (c connection) unsupported(client string) []string {
	known := map[string][]string{
		clientSQLite: {"filename", "directory"},
		clientPostgres: {"host", "port", "user", "password", "database", "ssl", "sslmode", "sslcert", "sslkey", "sslrootcert",
			"sslpassword", "application_name", "options", "connect_timeout", "connectionTimeoutMillis", "target_session_attrs",
			"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"},
		clientMySQL: {"host", "port", "user", "password", "database", "ssl", "socketPath", "connectTimeout"},
	}[client]
	var names []string
	for _, name := range slices.Sorted(maps.Keys(c)) {
		if name != "type" && !slices.Contains(known, name) {
			names = append(names, name)
		}
	}
	return names
}

func orElse[T any](value *T, otherwise T) T {
	if value != nil {
		return *value
	}
	return otherwise
}

// withoutSecret is the error with the secret blotted out.
func withoutSecret(err error, secret string) error {
	if secret == "" {
		return err
	}
	return errors.New(strings.ReplaceAll(err.Error(), secret, "xxxxx"))
}

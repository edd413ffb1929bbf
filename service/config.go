package service

// Config is the merged configuration of the backend: Backstage's core.rootConfig. Keys are paths of names joined by dots
// ("backend.database.client"); the empty key is the whole configuration. Methods read the newest configuration, so that a value that
// is read when needed follows changes of the files. Safe for concurrent use.
type Config interface {
	// Decode decodes the value at key into the variable that dst points to, whose former value stands for what is not configured.
	// Struct fields are matched by the tag `config:"name"`, else by their name with a lower-case first letter. A time.Duration is
	// written as `5m`, as ISO 8601 (`PT5M`) or as an object (`{minutes: 5}`). The tag `schema:"required,format=uri"` adds
	// constraints; package service/config lists them. Errors name file, line and key. A key that is absent leaves dst as it is,
	// unless something in it is required.
	Decode(key string, dst any) error
	// Has tells whether there is a value at key.
	Has(key string) bool
	// Subscribe has changed called after the configuration has been reloaded with another content, one call at a time, until
	// cancel is called. When cancel returns, changed is not running and won't run again; so changed must not call it. A call that
	// panics is logged.
	Subscribe(changed func()) (cancel func())
}

// ConfigSchemas is what a backend's features declare about its configuration: JSON Schemas with the names of the features that they
// come from. It can be asked for like a root service.
type ConfigSchemas []ConfigSchemaSource

// ConfigSchemaSource is a JSON Schema and the feature that declares it.
type ConfigSchemaSource struct {
	// Feature names the plugin, module or service ("plugin catalog").
	Feature string
	// Schema is the JSON Schema (draft 7) of the whole configuration, as far as the feature knows it.
	Schema []byte
}

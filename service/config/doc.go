// Package config loads the configuration of a backend from app-config files, URLs and environment variables, as Backstage does.
//
// [Load] reads the files that the command line names, or app-config.yaml and its companions, merges them and resolves what they refer
// to. The [Store] that it returns is the service.Config of the backend.
//
// # Files
//
// Without targets, these files of the directory are read, in this order and as far as they exist: app-config.yaml,
// app-config.<env>.yaml for each name in BACKSTAGE_ENV, app-config.local.yaml, app-config.<env>.local.yaml. With targets, only those are
// read; each must exist. Environment variables come last: APP_CONFIG_backend_listen_port=8080 sets backend.listen.port; a value that
// is JSON is read as such.
//
// Objects are merged, everything else is replaced by what comes later, arrays as a whole. A null takes away what came before.
//
// # References
//
//	${NAME}            the environment variable NAME, without surrounding blanks; if it isn't set, the key is absent
//	${NAME:-text}      the text, if NAME isn't set or empty
//	$${NAME}           the text ${NAME}
//	$env: NAME         the environment variable NAME
//	$file: path        the text of a file, without trailing blanks; paths are relative to the file that has the reference
//	$include: path#a.b the value at a.b of a YAML or JSON file
//
// YAML is read by the core schema of YAML 1.2, in which `on` and 2026-01-31 are strings. Numbers and booleans that come from a reference
// are strings; where a number or a boolean is expected, such a string is accepted.
//
// # Schemas
//
// [Store.Validate] checks everything against the JSON Schemas of the backend's features at once. [SchemaOf] derives such a schema from
// the struct that a plugin decodes its configuration into.
package config

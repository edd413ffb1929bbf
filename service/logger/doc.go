// Package logger makes the loggers of a backend: the root logger and, derived from it, those of the plugins.
//
// Records are written as lines of JSON with the keys of Backstage's production logs (level, message, plugin, service and so on, and a
// timestamp), or readably if they go to a terminal. The configuration says which levels are logged, for everything and for records with certain
// attributes; it is followed when it changes:
//
//	backend:
//	  logger:
//	    level: info            # debug, info, warn or error; the environment variable LOG_LEVEL has precedence
//	    meta: {service: portal} # attributes of every record; service is "backstage" otherwise
//	    overrides:
//	      - matchers: {plugin: catalog}
//	        level: debug
//	      - matchers: {plugin: [search, techdocs], message: /^indexed/}
//	        level: warn
//
// A matcher is a value, a regular expression between slashes, or an array of which one must match; all matchers of an override
// must. Attributes are compared as text; those within groups are out of reach. The first override that matches a record decides.
//
// Records that are logged with the context of a span have its trace_id and span_id.
//
// Texts that the configuration holds as secrets are replaced by three asterisks wherever they appear in a record: in the message, in
// attributes, in errors and within structs and maps.
package logger

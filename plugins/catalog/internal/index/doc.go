// Package index answers queries over all final entities from memory.
package index

// Package keys has the keys by which plugins sign tokens: generated and rotated, with the public ones in a database for all replicas, or
// given in files.
package keys

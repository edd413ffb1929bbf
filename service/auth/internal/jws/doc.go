// Package jws signs and verifies tokens: JSON Web Signatures in compact form, whose payload is a set of claims.
//
// Only asymmetric algorithms are known. Which one verifies a token is decided by the key, never by the token alone.
package jws

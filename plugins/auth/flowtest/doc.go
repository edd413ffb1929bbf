// Package flowtest tests signing in with a real OpenID provider, through the whole flow of a browser. It is a module of its own, so that
// adopters don't get the dependencies of the provider.
package flowtest

// Package remote gets the public keys of issuers over HTTP, and keeps them for a while.
//
// An endpoint is asked again when its keys are old ([freshFor]), and when a token has come whose key is not among them, but not more
// often than [forcedFetches] in [forcedWindow] once it has just been asked ([coolDown]). Endpoints that hang, redirect, or answer
// without end are cut. One that fails leaves the keys that it has given in force for some time ([staleFor]).
package remote

// Package auth tells who calls, and lets plugins call others: the default service.Auth, service.HTTPAuth and service.UserInfo. Tokens,
// key sets and cookies are those of Backstage, so that backends of both kinds can call each other.
//
// No route is open by accident: a request without credentials reaches only routes that their plugin opened with service.AuthPolicies,
// unless the configuration switches that rule off with backend.auth.dangerouslyDisableDefaultAuthPolicy.
//
// # Who is believed
//
// Users have tokens of the auth plugin; package usertoken makes them. Their keys are at <auth>/.well-known/jwks.json, where <auth> is the
// URL that service.Discovery gives. Limited tokens and the cookie backstage-auth, which holds one, count only where they are allowed.
//
// Plugins sign tokens of their own, each for one target, for at most an hour. The key is made when it is first needed, replaced every
// hour, and never leaves the memory of the process. The public key goes to the database of the plugin, and is listed for three hours by
// all replicas at <plugin>/.backstage/auth/v1/jwks.json. With backend.auth.pluginKeyStore.type static, keys are in files instead. A
// plugin that acts for a user puts the user's limited token into its own.
//
// External programs have access by backend.auth.externalAccess:
//
//	backend:
//	  auth:
//	    externalAccess:
//	      - type: static                       # a fixed token
//	        options: { token: "${CI_TOKEN}", subject: ci }
//	        accessRestrictions:                # optional: what it may do
//	          - plugin: catalog
//	            permission: catalog.entity.read
//	            permissionAttribute: { action: read }
//	      - type: legacy                       # signed with a shared secret (HS256), subject backstage-server
//	        options: { secret: "${OLD_SECRET}", subject: old-backend }
//	      - type: jwks                         # signed by an issuer with public keys
//	        options:
//	          url: https://idp.example.com/keys
//	          issuer: https://idp.example.com
//	          audience: portal
//	          algorithm: RS256
//	          subjectPrefix: idp
//
// Key sets are fetched at most once at a time, within five seconds and a megabyte, without redirects. They are used for ten minutes, and
// up to an hour if the issuer can't be reached. A token with an unknown key has them fetched again, with a limit. Signatures are of
// asymmetric algorithms that fit the kind of the key. Times are compared without tolerance.
package auth

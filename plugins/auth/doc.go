// Package auth is the auth plugin: users sign in with it, and get the token by which all plugins know them. It is wire-compatible with
// @backstage/plugin-auth-backend.
//
// How users prove who they are is up to providers, each a module of its own:
//
//	backend.Main(auth.Plugin(), guest.Module(), catalog.Plugin())
//
// A provider is used if the configuration has its key below auth.providers. An adopter's own is added to [Providers] by a module; see the
// example of [Providers]. That for SAML, in package saml, is a Go module of its own.
//
// # Signing in with GitHub, or with an OpenID provider
//
// The portal has to be known there: at GitHub as an OAuth app, at the other as a client. Both ask where to send users back, which is
// <backend.baseUrl>/api/auth/github/handler/frame or …/oidc/handler/frame, and tell an id and a secret. The portal gets the modules,
//
//	backend.Main(auth.Plugin(), github.Module(), oidc.Module(), catalog.Plugin())
//
// and its configuration the id and the secret, for each environment of the frontend (auth.environment; development, unless it says otherwise):
//
//	app: { baseUrl: https://portal.example.com }
//	backend: { baseUrl: https://portal.example.com }
//	auth:
//	  environment: production
//	  providers:
//	    github:
//	      production:
//	        clientId: ${GITHUB_CLIENT_ID}
//	        clientSecret: ${GITHUB_CLIENT_SECRET}
//	        signIn: { resolvers: [{ resolver: usernameMatchingUserEntityName }] }
//	    oidc:
//	      production:
//	        metadataUrl: https://idp.example.com/.well-known/openid-configuration
//	        clientId: ${OIDC_CLIENT_ID}
//	        clientSecret: ${OIDC_CLIENT_SECRET}
//	        prompt: auto
//	        signIn: { resolvers: [{ resolver: emailMatchingUserEntityProfileEmail }] }
//
// The frontend offers what its sign-in page lists, as with a backend of Backstage. Users have to be in the catalog, with the name that they
// have at GitHub, or with the email that the provider has verified: from a file, or from the catalog's modules for organizations. The packages
// of the providers tell the other keys.
//
// # Who of the portal it is
//
// A provider tells who somebody is to it: an email, a username. Which user of the portal that is, a [SignInResolver] finds out, mostly by
// looking for a User in the catalog. The configuration names the resolvers of a provider, in the order in which they are asked:
//
//	auth:
//	  providers:
//	    github:
//	      development:
//	        clientId: ${GITHUB_CLIENT_ID}
//	        clientSecret: ${GITHUB_CLIENT_SECRET}
//	        signIn:
//	          resolvers:
//	            - resolver: usernameMatchingUserEntityName
//	            - resolver: emailLocalPartMatchingUserEntityName
//	              allowedDomains: [example.com]
//
// For all providers there are emailMatchingUserEntityProfileEmail and emailLocalPartMatchingUserEntityName; modules add others. The option
// allowedDomains limits both of them, unlike in Backstage, where the former ignores it.
//
// A user owns what its groups own: those that it is a member of, and all groups above them. In Backstage only the former count; that is what
// a module gets with [DirectOwnership], or it decides otherwise by a resolver of its own: see the example of [Ownership].
//
// # Tokens
//
// Tokens are those that package service/auth/usertoken describes. The key that signs them is made when it is first needed, lives as long
// as a token (auth.backstageTokenExpiration, an hour), and never leaves the memory of the process. Public keys are in the database, for
// three times as long, at /.well-known/jwks.json. What a user owns is not in the token, but at /v1/userinfo.
//
// # Programs
//
// Command-line tools and clients of MCP get tokens of users too, if the users agree: the plugin is an OAuth authorization server, with codes
// and PKCE, once the configuration allows clients. They are known by a document whose URL is their id, or register by themselves:
//
//	auth:
//	  clientIdMetadataDocuments:
//	    enabled: true
//	    allowedClientIdPatterns: [https://claude.ai/*]
//	  experimentalDynamicClientRegistration:
//	    enabled: true
//
// Anybody who reaches the portal may register clients and ask users, as the standard has it; backend.rateLimit.plugin.auth limits how often. A
// client that no user has agreed to for a day is forgotten, and of clients and questions that wait for a user only the latest 1,000 are kept.
//
// The user is asked by the frontend. Unlike in Backstage, the code of a client that doesn't prove itself by PKCE is good only with the secret
// of the client, code challenges in plain text are refused, and secrets and codes are stored as hashes.
package auth

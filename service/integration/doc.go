// Package integration knows the forges that a backend is configured to work with: how their URLs are built, and the credentials for
// them.
//
// [Services] declares the *[Integrations] of a backend, which are read once from Backstage's configuration:
//
//	integrations:
//	  github:
//	    - host: github.com
//	      token: ${GITHUB_TOKEN}
//	    - host: ghe.example.com
//	      apiBaseUrl: https://ghe.example.com/api/v3
//	      apps: [{ $include: github-app-credentials.yaml }]
//	  gitlab:          [{ host: gitlab.example.com, apiBaseUrl: https://gitlab.example.com/api/v4, token: … }]
//	  bitbucketCloud:  [{ username: …, token: … }]                    # or clientId and clientSecret
//	  bitbucketServer: [{ host: bitbucket.example.com, token: … }]    # or username and password
//	  azure:           [{ host: dev.azure.com, credentials: [{ personalAccessToken: … }] }]
//	  gitea:           [{ host: gitea.example.com, username: …, password: … }]
//	  gerrit:          [{ host: gerrit.example.com, gitilesBaseUrl: https://gerrit.example.com/gitiles, username: …, password: … }]
//
// github.com, gitlab.com, bitbucket.org and dev.azure.com are there without being configured, for reading what is public. A server that
// is configured twice is an error.
//
// # URLs
//
// URLs are those that people see in their browsers. [Integration.Parse] takes one apart, into repository, ref and path;
// [Integrations.ResolveURL] resolves a target relative to one: "./a.yaml" is beside the base, "/a.yaml" in the root of its repository.
// A ref is one segment of the path: the slash in the name of a branch is written %2F. Whatever leads out of a repository, however it is
// encoded, is an error; so are user names and passwords in URLs.
//
// # Credentials
//
// [Integration.Credentials] are for requests to the URLs in [Integration.Bases], and for no others. They print as what kind they are, not
// as what they hold. Tokens of GitHub Apps, OAuth clients and managed identities are kept until ten minutes before they expire.
package integration

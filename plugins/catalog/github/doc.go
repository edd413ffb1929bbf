// Package github has modules of the catalog for GitHub: [Module] finds the catalog's files in the repositories of organizations,
// [OrgModule] brings their members and teams as Users and Groups. They do what @backstage/plugin-catalog-backend-module-github and
// -github-org do, with their configuration:
//
//	catalog:
//	  providers:
//	    github:
//	      acme:
//	        organization: acme                  # or app: the id of a GitHub App, for all organizations that it is installed in
//	        catalogPath: /catalog-info.yaml     # or a glob
//	        filters:
//	          repository: '^(?!legacy-).*'      # a regular expression of JavaScript, for the whole name
//	          topic: { include: [backstage], exclude: [experiment] }
//	          visibility: [public, internal]
//	        schedule: { frequency: { minutes: 30 }, timeout: { minutes: 3 } }
//	    githubOrg:
//	      id: production
//	      githubUrl: https://github.com
//	      orgs: [acme, umbrella]                # without them: all that the configured apps are installed in
//	      schedule: { frequency: { hours: 1 }, timeout: { minutes: 15 } }
//	integrations:
//	  github: [{ host: github.com, apps: [{ $include: github-app-credentials.yaml }] }]
//
// Credentials are those below integrations. Repositories are listed by GraphQL, with net/http: the queries are few and fixed. Rate limits
// are waited for, failures of the server are retried, and a run that can't read everything changes nothing: the next one tries again.
//
// # Events
//
// Between runs, the catalog follows events of the topics github.push and github.repository, and for people github.membership,
// github.organization, github.team and github.installation, which a webhook (see package plugins/events/github) or another source publishes to
// the events service. An event says where to look: repositories have to be of the configured server and organizations, and people are asked for
// at GitHub.
//
// With catalog.scmEvents, the locations that users have registered follow the same topics: what a push to the default branch changes is
// processed anew, and files, repositories and branches that are renamed or gone are so in the catalog.
//
// # Importing a repository
//
// POST /analyze-location finds the files of a repository that describe entities by GitHub's search, which needs credentials.
//
// # Differences from Backstage
//
// A list of which a part can't be read is never taken for the whole. A repository that is edited, or made private or public, is judged by
// the filters anew. Slashes in the names of branches are written %2F in URLs. Transformers get the entity that would be made without them,
// and are options of the module instead of an extension point.
package github

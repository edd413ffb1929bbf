// Package gitlab has modules of the catalog for GitLab, gitlab.com and self-managed: [Module] finds the catalog's files in projects,
// [OrgModule] brings users and groups. They do what @backstage/plugin-catalog-backend-module-gitlab and -gitlab-org do, with their
// configuration:
//
//	catalog:
//	  providers:
//	    gitlab:
//	      acme:
//	        host: gitlab.com
//	        group: acme                        # without it: all projects that the token sees
//	        groupPattern: '^acme/(shop|web)'   # regular expressions of JavaScript, one or a list
//	        projectPattern: '^(?!.*legacy)'
//	        entityFilename: catalog-info.yaml
//	        skipForkedRepos: true
//	        topics: [backstage]
//	        orgEnabled: true                   # for the OrgModule
//	        relations: [INHERITED]
//	        schedule: { frequency: { minutes: 30 }, timeout: { minutes: 10 } }
//	integrations:
//	  gitlab: [{ host: gitlab.com, token: "${GITLAB_TOKEN}" }]
//
// GitLab is asked by REST, and by GraphQL for members of groups, with net/http: the requests are few and fixed. Rate limits are waited
// for, failures of the server are retried, and a run that can't read everything changes nothing: the next one tries again.
//
// # Events
//
// Between runs, the catalog follows events of the topics gitlab.push, gitlab.group_create, gitlab.group_destroy, gitlab.group_rename,
// gitlab.user_create, gitlab.user_destroy, gitlab.user_add_to_group and gitlab.user_remove_from_group, which a webhook (see package
// plugins/events/gitlab) or another source publishes to the events service. An event says where to look: what it is about is asked for at GitLab.
//
// With catalog.scmEvents, the locations that users have registered follow gitlab.push and, of system hooks, gitlab.project_destroy,
// gitlab.project_rename and gitlab.project_transfer: what a push to the default branch changes is processed anew, and files and projects
// that are renamed or gone are so in the catalog. (Backstage expects that of gitlab.repository_update, which doesn't tell it.)
//
// # Differences from Backstage
//
// A list of which a part can't be read is never taken for the whole: a project whose file can't be looked for, or a group whose members
// can't be read, ends the run. A push is about the file that the discovery reads, and not about others of its name. A renamed group has
// everything read again, since the groups below it have other names too. Slashes in the names of branches are written %2F in URLs.
// Annotations that begin with the host are without its port. Transformers get the entity that would be made without them, and are options of the module instead of an extension point.
package gitlab

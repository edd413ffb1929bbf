// Package msgraph is a module of the catalog plugin that ingests the users and groups of a tenant of Entra ID (Azure Active Directory)
// from Microsoft Graph. It is @backstage/plugin-catalog-backend-module-msgraph.
//
//	backend.Main(catalog.Plugin(), msgraph.Module())
//
// # Configuration
//
// The keys are Backstage's: one provider, or several by ids of your choice.
//
//	catalog:
//	  providers:
//	    microsoftGraphOrg:
//	      default:
//	        tenantId: ${AZURE_TENANT_ID}
//	        clientId: ${AZURE_CLIENT_ID}              # an application that may read users, groups and their members
//	        clientSecret: ${AZURE_CLIENT_SECRET}
//	        schedule: { frequency: PT1H, timeout: PT50M }
//	        target: https://graph.microsoft.com/v1.0
//	        authority: https://login.microsoftonline.com
//	        queryMode: basic                          # advanced
//	        user:
//	          filter: userType eq 'member'            # disabled users are left out anyway
//	          select: [id, displayName, mail]
//	          expand: manager
//	          path: users
//	          loadPhotos: true
//	        group:
//	          filter: securityEnabled eq true
//	          search: '"description:team"'
//	          select: [id, displayName, description]
//	          expand: members
//	          path: groups
//	          includeSubGroups: false
//	        userGroupMember:                          # only users that are members of these groups, instead of user.filter
//	          filter: displayName eq 'Portal users'
//	          search: '"displayName:portal"'
//	          path: groups
//
// Without clientId, the process logs in as the workload identity that AZURE_FEDERATED_TOKEN_FILE, AZURE_CLIENT_ID and AZURE_TENANT_ID name,
// as the application of AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or as the managed identity of the machine.
//
// # Throttling
//
// Where Graph asks to come back later, that is done, as often as the task's timeout allows; failures on its side are tried again four times.
// A page that is missing in the end keeps the whole refresh from changing anything.
//
// # Transformers
//
// A module can change what becomes of users, groups and the organisation, or leave them out, with [Transforms].
//
// # Differences from Backstage
//
// A user or group without a usable name is left out, and logged. Users' groups are sorted by their refs. The processor and its
// configuration below catalog.processors, which are deprecated, are not there, nor is the transformer of the provider's configuration.
package msgraph

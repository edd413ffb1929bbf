package catalogmodel

// Types of relations. They come in pairs, one for each direction.
const (
	RelationOwnedBy       = "ownedBy"       // to the Group or User that owns the entity
	RelationOwnerOf       = "ownerOf"       // from an owner to what it owns
	RelationProvidesAPI   = "providesApi"   // from a Component to an API that it implements
	RelationAPIProvidedBy = "apiProvidedBy" // from an API to a Component that implements it
	RelationConsumesAPI   = "consumesApi"   // from a Component to an API that it uses
	RelationAPIConsumedBy = "apiConsumedBy" // from an API to a Component that uses it
	RelationDependsOn     = "dependsOn"     // to what the entity needs in order to work
	RelationDependencyOf  = "dependencyOf"  // to what needs the entity in order to work
	RelationParentOf      = "parentOf"      // from a Group to one below it
	RelationChildOf       = "childOf"       // from a Group to the one above it
	RelationMemberOf      = "memberOf"      // from a User to a Group that it belongs to
	RelationHasMember     = "hasMember"     // from a Group to a User that belongs to it
	RelationPartOf        = "partOf"        // to a larger whole, such as from a Component to its System
	RelationHasPart       = "hasPart"       // from a whole to one of its parts
)

// inverse returns the type of the relation that points the other way.
func inverse(relation string) string {
	switch relation {
	case RelationOwnedBy:
		return RelationOwnerOf
	case RelationOwnerOf:
		return RelationOwnedBy
	case RelationProvidesAPI:
		return RelationAPIProvidedBy
	case RelationAPIProvidedBy:
		return RelationProvidesAPI
	case RelationConsumesAPI:
		return RelationAPIConsumedBy
	case RelationAPIConsumedBy:
		return RelationConsumesAPI
	case RelationDependsOn:
		return RelationDependencyOf
	case RelationDependencyOf:
		return RelationDependsOn
	case RelationParentOf:
		return RelationChildOf
	case RelationChildOf:
		return RelationParentOf
	case RelationMemberOf:
		return RelationHasMember
	case RelationHasMember:
		return RelationMemberOf
	case RelationPartOf:
		return RelationHasPart
	case RelationHasPart:
		return RelationPartOf
	}
	return ""
}

// Annotations that the catalog itself sets or reads. Locations are written as [LocationRef.String] does.
const (
	AnnotationManagedByLocation       = "backstage.io/managed-by-location"        // the location that the entity was read from
	AnnotationManagedByOriginLocation = "backstage.io/managed-by-origin-location" // the registered location that led there
	AnnotationSourceLocation          = "backstage.io/source-location"            // the location of the source code
	AnnotationViewURL                 = "backstage.io/view-url"                   // where people can see the entity's file
	AnnotationEditURL                 = "backstage.io/edit-url"                   // where people can edit the entity's file
	AnnotationOrphan                  = "backstage.io/orphan"                     // "true" where nothing refers to the entity any more
)

// Annotations that widespread plugins read.
const (
	AnnotationTechDocsRef             = "backstage.io/techdocs-ref"                      // the location of the documentation, often "dir:."
	AnnotationTechDocsEntity          = "backstage.io/techdocs-entity"                   // the entity whose documentation is shown
	AnnotationADRLocation             = "backstage.io/adr-location"                      // the location of decision records
	AnnotationCodeCoverage            = "backstage.io/code-coverage"                     // whether code coverage is collected
	AnnotationTimeSaved               = "backstage.io/time-saved"                        // on Templates: an ISO 8601 duration
	AnnotationLDAPRDN                 = "backstage.io/ldap-rdn"                          // the relative distinguished name in LDAP
	AnnotationLDAPUUID                = "backstage.io/ldap-uuid"                         // the unique id in LDAP
	AnnotationLDAPDN                  = "backstage.io/ldap-dn"                           // the distinguished name in LDAP
	AnnotationKubernetesID            = "backstage.io/kubernetes-id"                     // the value of the label of the same name in clusters
	AnnotationKubernetesNamespace     = "backstage.io/kubernetes-namespace"              // the namespace in clusters
	AnnotationKubernetesSelector      = "backstage.io/kubernetes-label-selector"         // which objects in clusters belong to the entity
	AnnotationKubernetesCluster       = "backstage.io/kubernetes-cluster"                // the name of the cluster
	AnnotationKubernetesAPIServer     = "kubernetes.io/api-server"                       // on cluster Resources: the URL of the API
	AnnotationKubernetesAPIServerCA   = "kubernetes.io/api-server-certificate-authority" // on cluster Resources: its certificate authority, base64
	AnnotationKubernetesAuthProvider  = "kubernetes.io/auth-provider"                    // on cluster Resources: how to authenticate
	AnnotationGitHubProjectSlug       = "github.com/project-slug"                        // owner/repository
	AnnotationGitHubTeamSlug          = "github.com/team-slug"                           // organisation/team
	AnnotationGitHubUserLogin         = "github.com/user-login"                          // the user's name
	AnnotationGitHubUserID            = "github.com/user-id"                             // the user's number
	AnnotationGitLabProjectSlug       = "gitlab.com/project-slug"                        // group/project
	AnnotationGitLabProjectID         = "gitlab.com/project-id"                          // the project's number
	AnnotationJenkinsFullName         = "jenkins.io/job-full-name"                       // folder/job
	AnnotationSonarQubeProjectKey     = "sonarqube.org/project-key"                      // the project's key, perhaps with an instance before it
	AnnotationSentryProjectSlug       = "sentry.io/project-slug"                         // organisation/project
	AnnotationPagerDutyIntegrationKey = "pagerduty.com/integration-key"                  // the key of an integration
	AnnotationAzureTenantID           = "graph.microsoft.com/tenant-id"                  // the tenant in Entra ID
	AnnotationAzureGroupID            = "graph.microsoft.com/group-id"                   // the group in Entra ID
	AnnotationAzureUserID             = "graph.microsoft.com/user-id"                    // the user in Entra ID
	AnnotationMicrosoftEmail          = "microsoft.com/email"                            // the user's address at Microsoft
	AnnotationGoogleEmail             = "google.com/email"                               // the user's address at Google
	AnnotationOktaEmail               = "okta.com/email"                                 // the user's address at Okta
)

// LabelKubernetesID is the label by which objects in Kubernetes clusters name their entity; see [AnnotationKubernetesID].
const LabelKubernetesID = "backstage.io/kubernetes-id"

// StatusCatalogProcessing is the type of status items that tell of errors in processing the entity.
const StatusCatalogProcessing = "backstage.io/catalog-processing"

// Levels of status items.
const (
	StatusInfo    = "info"
	StatusWarning = "warning"
	StatusError   = "error"
)

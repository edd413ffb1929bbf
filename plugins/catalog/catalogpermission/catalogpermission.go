// Package catalogpermission has the permissions of the catalog, and the conditions on entities that policies make decisions of.
//
//	func (p policy) Decide(_ context.Context, asked service.Permission, user *permission.User) (service.Decision, error) {
//		if asked == catalogpermission.EntityDelete {
//			return catalogpermission.If(catalogpermission.IsEntityOwner(user.OwnershipEntityRefs...)), nil
//		}
//		…
//	}
//
// Names of permissions and rules are those of Backstage. Modules add rules of their own, see [NewRule].
package catalogpermission

import "github.com/portico-dev/portico/service"

// EntityType is the resource type of entities. Their resource refs are entity refs.
const EntityType = "catalog-entity"

// The permissions about entities.
var (
	// EntityRead is for seeing an entity. To who may not, it is as if it weren't there.
	EntityRead = service.Permission{Name: "catalog.entity.read", Action: service.ActionRead, ResourceType: EntityType}
	// EntityCreate is asked by frontends before they offer to register something.
	EntityCreate = service.Permission{Name: "catalog.entity.create", Action: service.ActionCreate}
	// EntityDelete is for deleting an entity.
	EntityDelete = service.Permission{Name: "catalog.entity.delete", Action: service.ActionDelete, ResourceType: EntityType}
	// EntityRefresh is for having an entity processed at once.
	EntityRefresh = service.Permission{Name: "catalog.entity.refresh", Action: service.ActionUpdate, ResourceType: EntityType}
	// EntityValidate is for having the catalog try out an entity.
	EntityValidate = service.Permission{Name: "catalog.entity.validate"}
)

// The permissions about registered locations.
var (
	// LocationRead is for seeing registered locations.
	LocationRead = service.Permission{Name: "catalog.location.read", Action: service.ActionRead}
	// LocationCreate is for registering locations and for changing them.
	LocationCreate = service.Permission{Name: "catalog.location.create", Action: service.ActionCreate}
	// LocationDelete is for taking locations away, and with them their entities.
	LocationDelete = service.Permission{Name: "catalog.location.delete", Action: service.ActionDelete}
	// LocationAnalyze is for having proposals made for a repository.
	LocationAnalyze = service.Permission{Name: "catalog.location.analyze"}
)

// The permissions about how entities get into the catalog.
var (
	// IngestionRead is for seeing the state of incremental entity providers.
	IngestionRead = service.Permission{Name: "catalog.ingestion.read", Action: service.ActionRead}
	// IngestionManage is for starting and stopping them.
	IngestionManage = service.Permission{Name: "catalog.ingestion.manage", Action: service.ActionUpdate}
	// UnprocessedRead is for seeing entities that could not be processed.
	UnprocessedRead = service.Permission{Name: "catalog.entities.unprocessed.read", Action: service.ActionRead}
	// UnprocessedDelete is for deleting them.
	UnprocessedDelete = service.Permission{Name: "catalog.entities.unprocessed.delete", Action: service.ActionDelete}
)

// All are all permissions of the catalog.
func All() []service.Permission {
	return []service.Permission{
		UnprocessedRead, UnprocessedDelete,
		EntityRead, EntityCreate, EntityDelete, EntityRefresh, EntityValidate,
		LocationRead, LocationCreate, LocationDelete, LocationAnalyze,
		IngestionRead, IngestionManage,
	}
}

// If is the decision to allow something for entities that meet the conditions.
func If(conditions service.Criteria) service.Decision {
	return service.Decision{Result: service.ResultConditional, PluginID: "catalog", ResourceType: EntityType, Conditions: &conditions}
}

// The names of the rules.
const (
	RuleHasAnnotation = "HAS_ANNOTATION"
	RuleHasLabel      = "HAS_LABEL"
	RuleHasMetadata   = "HAS_METADATA"
	RuleHasSpec       = "HAS_SPEC"
	RuleIsEntityKind  = "IS_ENTITY_KIND"
	RuleIsEntityOwner = "IS_ENTITY_OWNER"
)

// IsEntityOwner is met by entities that are owned by one of the entity refs.
func IsEntityOwner(claims ...string) service.Criteria {
	return Condition(RuleIsEntityOwner, map[string]any{"claims": append([]string{}, claims...)})
}

// IsEntityKind is met by entities of one of the kinds.
func IsEntityKind(kinds ...string) service.Criteria {
	return Condition(RuleIsEntityKind, map[string]any{"kinds": append([]string{}, kinds...)})
}

// HasAnnotation is met by entities with the annotation; if values are given, with one of them.
func HasAnnotation(name string, values ...string) service.Criteria {
	return has(RuleHasAnnotation, "annotation", name, values)
}

// HasLabel is met by entities with the label; if values are given, with one of them.
func HasLabel(name string, values ...string) service.Criteria {
	return has(RuleHasLabel, "label", name, values)
}

// HasMetadata is met by entities with something at the path below their metadata ("tags"); if values are given, with one of them.
func HasMetadata(path string, values ...string) service.Criteria {
	return has(RuleHasMetadata, "key", path, values)
}

// HasSpec is met by entities with something at the path below their spec ("lifecycle"); if values are given, with one of them.
func HasSpec(path string, values ...string) service.Criteria {
	return has(RuleHasSpec, "key", path, values)
}

func has(rule, param, name string, values []string) service.Criteria {
	switch len(values) {
	case 0:
		return Condition(rule, map[string]any{param: name})
	case 1:
		return Condition(rule, map[string]any{param: name, "value": values[0]})
	}
	one := service.Criteria{}
	for _, v := range values {
		one.AnyOf = append(one.AnyOf, Condition(rule, map[string]any{param: name, "value": v}))
	}
	return one
}

package access

import (
	"slices"

	"github.com/portico-dev/portico/plugins/catalog/catalogpermission"
	"github.com/portico-dev/portico/plugins/catalog/internal/query"
	"github.com/portico-dev/portico/service"
)

// entityType is the resource type of entities, which are seen as their terms.
type entityType = service.ResourceType[[]query.Term, query.Predicate]

// newEntityType is the resource type with the rules of the catalog and others.
func newEntityType(others []catalogpermission.Rule) entityType {
	return entityType{
		Name:  catalogpermission.EntityType,
		Rules: slices.Concat(rules(), others),
		AllOf: func(parts []query.Predicate) query.Predicate { return query.All(parts) },
		AnyOf: func(parts []query.Predicate) query.Predicate { return query.Any(parts) },
		Not:   func(part query.Predicate) query.Predicate { return query.Not{Predicate: part} },
	}
}

// rules are those of the catalog: Backstage's.
func rules() []catalogpermission.Rule {
	return []catalogpermission.Rule{
		catalogpermission.NewRule(catalogpermission.RuleHasAnnotation, "Allow entities with the specified annotation",
			func(p annotation) query.Predicate { return has("metadata.annotations."+p.Annotation, p.Value) }),
		catalogpermission.NewRule(catalogpermission.RuleHasLabel, "Allow entities with the specified label",
			func(p label) query.Predicate { return has("metadata.labels."+p.Label, p.Value) }),
		catalogpermission.NewRule(catalogpermission.RuleHasMetadata, "Allow entities with the specified metadata subfield",
			func(p metadataField) query.Predicate { return has("metadata."+p.Key, p.Value) }),
		catalogpermission.NewRule(catalogpermission.RuleHasSpec, "Allow entities with the specified spec subfield",
			func(p specField) query.Predicate { return has("spec."+p.Key, p.Value) }),
		catalogpermission.NewRule(catalogpermission.RuleIsEntityKind, "Allow entities matching a specified kind",
			func(p kinds) query.Predicate { return catalogpermission.In("kind", p.Kinds...) }),
		catalogpermission.NewRule(catalogpermission.RuleIsEntityOwner, "Allow entities owned by a specified claim",
			func(p claims) query.Predicate { return catalogpermission.In("relations.ownedBy", p.Claims...) }),
	}
}

type (
	annotation struct {
		Annotation string  `json:"annotation" doc:"Name of the annotation to match on"`
		Value      *string `json:"value" doc:"Value of the annotation to match on"`
	}
	label struct {
		Label string  `json:"label" doc:"Name of the label to match on"`
		Value *string `json:"value" doc:"Value of the label to match on"`
	}
	metadataField struct {
		Key   string  `json:"key" doc:"Property within the entities metadata to match on"`
		Value *string `json:"value" doc:"Value of the given property to match on"`
	}
	specField struct {
		Key   string  `json:"key" doc:"Property within the entities spec to match on"`
		Value *string `json:"value" doc:"Value of the given property to match on"`
	}
	kinds struct {
		Kinds []string `json:"kinds" doc:"List of kinds to match at least one of"`
	}
	claims struct {
		Claims []string `json:"claims" doc:"List of claims to match at least one on within ownedBy"`
	}
)

// has is the condition that there is something at a path, or one value of it.
func has(path string, value *string) query.Predicate {
	if value == nil {
		return catalogpermission.Exists(path)
	}
	return catalogpermission.In(path, *value)
}

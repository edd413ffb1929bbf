package catalogpermission

import (
	"strings"

	"github.com/portico-dev/portico/plugins/catalog/internal/query"
	"github.com/portico-dev/portico/service"
)

// Rule is what conditions on entities are made of. A module adds its own to those of the catalog (see catalog.Permissions); make one with
// [NewRule].
type Rule = service.PermissionRule[[]query.Term, query.Predicate]

// Query is what a rule looks for in the catalog's index: made by [Exists], [In], [HasPrefix], [AllOf], [AnyOf] and [Not].
//
// Keys are those of the filters of GET /entities: the path to a field, such as spec.type, or relations.partof for the targets of relations. Keys
// and values match without regard to case.
type Query = query.Predicate

// NewRule declares a rule. Where turns its parameters into a query, which becomes a part of what the catalog looks for; so what somebody may
// not see costs nothing, and is not counted. P is a struct as [service.NewPermissionRule] describes it.
//
//	type tiers struct {
//		Tiers []string `json:"tiers" doc:"Tiers to match at least one of"`
//	}
//
//	var isInTier = catalogpermission.NewRule("IS_IN_TIER", "Allow entities of one of the tiers",
//		func(p tiers) catalogpermission.Query { return catalogpermission.In("metadata.labels.tier", p.Tiers...) })
func NewRule[P any](name, description string, where func(P) Query) Rule {
	return service.NewPermissionRule(name, description, func(terms []query.Term, p P) bool { return query.Match(where(p), terms) }, where)
}

// Condition is met by entities for which a rule of a module holds, with its parameters by their JSON names.
func Condition(rule string, params map[string]any) service.Criteria {
	return service.Criteria{ResourceType: EntityType, Rule: rule, Params: params}
}

// Exists finds entities that have the key, whatever its value.
func Exists(key string) Query { return query.Exists{Key: strings.ToLower(key)} }

// In finds entities of which the key has one of the values; without values, none.
func In(key string, values ...string) Query {
	lower := make([]string, len(values))
	for i, v := range values {
		lower[i] = strings.ToLower(v)
	}
	return query.In{Key: strings.ToLower(key), Values: lower}
}

// HasPrefix finds entities of which a value of the key begins with the prefix.
func HasPrefix(key, prefix string) Query {
	return query.HasPrefix{Key: strings.ToLower(key), Prefix: strings.ToLower(prefix)}
}

// AllOf finds what all parts find; without parts, everything.
func AllOf(parts ...Query) Query { return query.All(parts) }

// AnyOf finds what one of the parts finds; without parts, nothing.
func AnyOf(parts ...Query) Query { return query.Any(parts) }

// Not finds what the part does not.
func Not(part Query) Query { return query.Not{Predicate: part} }

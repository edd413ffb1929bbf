package rbac

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
)

const settingsKey = "permission.rbac"

// settings are what the configuration says.
type settings struct {
	Roles                 map[string]role `schema:"required" doc:"The roles by their names."`
	PluginsWithPermission []string        `doc:"Plugins of other backends whose permissions are used here. Those of this backend are known."`
}

type role struct {
	Description string `doc:"What the role is for."`
	Members     texts  `schema:"required" doc:"Who has the role: entity refs of users and groups, or * for every user."`
	Permissions []rule `schema:"required" doc:"What the role allows and denies."`
	Origin      config.Origin
}

type rule struct {
	Allow      texts          `doc:"Names of permissions that are allowed. A star at the end stands for any rest."`
	Deny       texts          `doc:"Names of permissions that are denied, whatever other rules allow."`
	Action     string         `schema:"enum=create|read|update|delete" doc:"The rule is only for permissions with this action."`
	Conditions map[string]any `doc:"Conditions that a resource must meet for the rule to be about it: a rule with params, or allOf, anyOf, not."`
	Origin     config.Origin
}

// texts is written as a text or as a list.
type texts []string

// UnmarshalText reads a single text.
func (t *texts) UnmarshalText(text []byte) error {
	*t = texts{string(text)}
	return nil
}

// everyone is the member that stands for every user.
const everyone = "*"

// patterns are the permissions that a rule is about.
func (r rule) patterns() []string { return append(slices.Clone(r.Allow), r.Deny...) }

// covers tells whether the rule is about the permission.
func (r rule) covers(p service.Permission) bool {
	return slices.ContainsFunc(r.patterns(), func(pattern string) bool { return r.matches(pattern, p) })
}

func (r rule) matches(pattern string, p service.Permission) bool {
	if r.Action != "" && r.Action != p.Action {
		return false
	}
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(p.Name, prefix)
	}
	return pattern == p.Name
}

// criteria are the conditions of the rule for resources of a type, with placeholders; nil without conditions.
func (r rule) criteria(resourceType string) (*service.Criteria, error) {
	if r.Conditions == nil {
		return nil, nil
	}
	encoded, err := json.Marshal(withType(r.Conditions, resourceType))
	if err != nil {
		return nil, err
	}
	var c service.Criteria
	if err := json.Unmarshal(encoded, &c); err != nil {
		return nil, err
	}
	return &c, nil
}

// withType adds the resource type to the rules that don't tell theirs.
func withType(condition any, resourceType string) any {
	switch v := condition.(type) {
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = withType(v[i], resourceType)
		}
		return list
	case map[string]any:
		object := map[string]any{}
		for key, value := range v {
			if key != "params" {
				value = withType(value, resourceType)
			}
			object[key] = value
		}
		if object["rule"] != nil && object["resourceType"] == nil {
			object["resourceType"] = resourceType
		}
		return object
	}
	return condition
}

// problems are what is wrong with the roles themselves, whatever plugins declare.
func (s settings) problems() []config.Problem {
	var found []config.Problem
	for _, name := range slices.Sorted(maps.Keys(s.Roles)) {
		r := s.Roles[name]
		for _, member := range r.Members {
			if _, err := parseMember(member); err != nil {
				found = append(found, r.Origin.Problem("", "%v", err))
			}
		}
		for _, one := range r.Permissions {
			if (len(one.Allow) == 0) == (len(one.Deny) == 0) {
				found = append(found, one.Origin.Problem("", "needs names of permissions to allow, or to deny"))
			}
			for _, pattern := range one.patterns() {
				if pattern == "" || strings.Contains(strings.TrimSuffix(pattern, "*"), "*") {
					found = append(found, one.Origin.Problem("", "%q is not the name of a permission, nor the beginning of names with a star after it", pattern))
				}
			}
		}
	}
	return found
}

// parseMember returns a member in the form in which refs are compared.
func parseMember(text string) (string, error) {
	if text == everyone {
		return text, nil
	}
	ref, err := catalogmodel.ParseRef(text, catalogmodel.RefDefaults{Namespace: catalogmodel.DefaultNamespace})
	if err != nil {
		return "", fmt.Errorf("member %q is not an entity ref: %w", text, err)
	}
	if kind := strings.ToLower(ref.Kind); kind != "user" && kind != "group" {
		return "", fmt.Errorf("member %q is neither a user nor a group", text)
	}
	return ref.String(), nil
}

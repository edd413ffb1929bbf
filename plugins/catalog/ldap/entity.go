package ldap

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/portico-dev/portico/catalogmodel"
)

// kind is what is made of an entry.
type kind struct {
	name string
	base string // the entity before anything is known
}

var (
	user  = kind{"User", `{"apiVersion":"backstage.io/v1beta1","kind":"User","metadata":{"name":"","annotations":{}},"spec":{"profile":{},"memberOf":[]}}`}
	group = kind{"Group", `{"apiVersion":"backstage.io/v1beta1","kind":"Group","metadata":{"name":"","annotations":{}},"spec":{"type":"unknown","profile":{},"children":[]}}`}
)

// entity is what becomes of an entry without a transformer.
func (k kind) entity(entry *ldap.Entry, s search, v vendor) (catalogmodel.Entity, error) {
	e, err := catalogmodel.ParseJSON([]byte(k.base))
	if err != nil {
		return e, err
	}
	for _, path := range slices.Sorted(maps.Keys(s.Set)) {
		value, err := catalogmodel.ValueOf(s.Set[path])
		if err != nil {
			return e, fmt.Errorf("set.%s: %w", path, err)
		}
		keys, err := parsePath(path)
		if err != nil {
			return e, err
		}
		e = e.With(value, keys...)
	}
	set := func(attribute string, path ...string) {
		if text := v.one(entry, attribute); text != "" && err == nil {
			var value catalogmodel.Value
			value, err = catalogmodel.ValueOf(text)
			e = e.With(value, path...)
		}
	}
	set(s.Map.Name, "metadata", "name")
	if e.Name() == "" {
		return e, fmt.Errorf("%s has not one value of the attribute %q, which its name is made from; a filter could leave such entries out", entry.DN, s.Map.Name)
	}
	set(s.Map.Description, "metadata", "description")
	set(s.Map.RDN, "metadata", "annotations", catalogmodel.AnnotationLDAPRDN)
	set(v.uuid, "metadata", "annotations", catalogmodel.AnnotationLDAPUUID)
	set(v.dn, "metadata", "annotations", catalogmodel.AnnotationLDAPDN)
	if k.name == group.name {
		set(s.Map.Type, "spec", "type")
	}
	set(s.Map.DisplayName, "spec", "profile", "displayName")
	set(s.Map.Email, "spec", "profile", "email")
	set(s.Map.Picture, "spec", "profile", "picture")
	return e, err
}

// parsePath reads a path like metadata.annotations['example.com/team'].
func parsePath(path string) ([]string, error) {
	var keys []string
	malformed := fmt.Errorf("set: the path %q is not like spec.profile.displayName or metadata.annotations['example.com/team']", path)
	for rest := path; rest != ""; {
		var key string
		if quoted, ok := strings.CutPrefix(rest, "["); ok && len(quoted) > 2 && strings.ContainsAny(quoted[:1], `'"`) {
			key, rest, ok = strings.Cut(quoted[1:], quoted[:1]+"]")
			if !ok {
				return nil, malformed
			}
			rest = strings.TrimPrefix(rest, ".")
		} else if end := strings.IndexAny(rest, ".["); end < 0 {
			key, rest = rest, ""
		} else {
			key, rest = rest[:end], strings.TrimPrefix(rest[end:], ".")
			if rest == "" {
				return nil, malformed
			}
		}
		if key == "" {
			return nil, malformed
		}
		keys = append(keys, key)
	}
	if len(keys) < 2 {
		return nil, malformed
	}
	return keys, nil
}

package ldap

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// complete reads the rest of attributes that have more values than the directory answers at once. Active Directory calls such a part
// member;range=0-1499, and the last one member;range=1500-*: see section 3.1.1.3.1.3.3 of [MS-ADTS].
func (c *client) complete(entry *ldap.Entry) error {
	for _, a := range slices.Clone(entry.Attributes) {
		name, next, ok := ranged(a.Name)
		if !ok {
			continue
		}
		// Beside its part, the attribute itself is there, without values.
		entry.Attributes = slices.DeleteFunc(entry.Attributes, func(other *ldap.EntryAttribute) bool { return strings.EqualFold(other.Name, name) })
		a.Name = name
		for next > 0 {
			part, following, err := c.part(entry.DN, name, next)
			if err != nil {
				return fmt.Errorf("reading %s of %s from value %d on: %w", name, entry.DN, next, err)
			}
			a.Values, a.ByteValues = append(a.Values, part.Values...), append(a.ByteValues, part.ByteValues...)
			next = following
		}
	}
	return nil
}

// part reads values of an attribute, and answers where to go on: at zero if that was the last one.
func (c *client) part(dn, name string, first int) (*ldap.EntryAttribute, int, error) {
	request := ldap.NewSearchRequest(dn, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 0, 0, false, "(objectClass=*)",
		[]string{fmt.Sprintf("%s;range=%d-*", name, first)}, nil)
	result, err := c.Search(request)
	if err != nil {
		return nil, 0, err
	}
	for _, entry := range result.Entries {
		for _, a := range entry.Attributes {
			if of, next, ok := ranged(a.Name); ok && strings.EqualFold(of, name) && (next == 0 || next > first) {
				return a, next, nil
			}
		}
	}
	return nil, 0, errors.New("the directory doesn't answer with that part")
}

// ranged takes apart the name of a part: the attribute, and the number of the first value behind the part, or zero if there is none.
func ranged(attribute string) (name string, next int, ok bool) {
	name, option, ok := strings.Cut(attribute, ";")
	bounds, isRange := strings.CutPrefix(strings.ToLower(option), "range=")
	_, last, isPart := strings.Cut(bounds, "-")
	if !ok || !isRange || !isPart {
		return "", 0, false
	}
	if last == "*" {
		return name, 0, true
	}
	n, err := strconv.Atoi(last)
	return name, n + 1, err == nil && n >= 0
}

package ldap

import (
	"slices"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/portico-dev/portico/catalogmodel"
)

// TestLocation has the location of an entry be what JavaScript's encodeURIComponent makes of its distinguished name.
func TestLocation(t *testing.T) {
	t.Parallel()
	e, err := catalogmodel.User.New("ada", catalogmodel.UserSpec{MemberOf: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{id: "default"}
	got := p.located(e.WithAnnotation(catalogmodel.AnnotationLDAPDN, "cn=O'Neil (Ada) *!~+é/x,ou=people")).Annotation(catalogmodel.AnnotationManagedByLocation)
	if want := "ldap://default/cn%3DO'Neil%20(Ada)%20*!~%2B%C3%A9%2Fx%2Cou%3Dpeople"; got != want {
		t.Errorf("the location is %s, want %s", got, want)
	}
}

// TestRecognize has those directories that OpenLDAP can't pretend to be.
func TestRecognize(t *testing.T) {
	t.Parallel()
	entry := func(attributes map[string][]string) *ldap.Entry { return ldap.NewEntry("", attributes) }
	googleRoot := map[string][]string{"subschemaSubentry": {"cn=subschema"}, "objectClasses": {"( 1.3.6 NAME 'x' MAY googleUid )"}}
	for name, test := range map[string]struct {
		root *ldap.Entry
		want vendor
	}{
		"Google":           {entry(googleRoot), google},
		"nothing known":    {entry(nil), openLDAP},
		"like Google":      {entry(map[string][]string{"subschemaSubentry": {"cn=subschema"}}), openLDAP},
		"Active Directory": {entry(map[string][]string{"FORESTFUNCTIONALITY": {"7"}}), activeDirectory},
	} {
		if got := recognize(test.root); got != test.want {
			t.Errorf("%s: recognized as %+v", name, got)
		}
	}
}

func FuzzParsePath(f *testing.F) {
	for _, seed := range []string{"spec.profile.displayName", "metadata.annotations['example.com/team']", `a["b"].c`, "a..b", "a[", "a['b", "."} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		keys, err := parsePath(path)
		if err == nil && (len(keys) < 2 || slices.Contains(keys, "")) {
			t.Errorf("%q is read as %q", path, keys)
		}
	})
}

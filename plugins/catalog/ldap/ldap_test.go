package ldap_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	ldapclient "github.com/go-ldap/ldap/v3"
	"go.uber.org/goleak"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/plugins/catalog/internal/served"
	"github.com/portico-dev/portico/plugins/catalog/ldap"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// object is a part of a configuration.
type object = map[string]any

// settings are those of a provider for the directory; more of them replace them.
func (d *directory) settings(more object) object {
	s := object{
		"target":   d.url + "/",
		"bind":     object{"dn": robotDN, "secret": robotPW},
		"schedule": object{"frequency": object{"trigger": "manual"}, "timeout": "PT1M"},
		"users":    object{"dn": "ou=people," + suffix, "options": object{}},
		"groups":   []any{object{"dn": "ou=groups," + suffix}},
	}
	maps.Copy(s, more)
	return s
}

func start(t *testing.T, settings object, features ...backend.Feature) *backendtest.Backend {
	t.Helper()
	return backendtest.Start(t, append(features, catalog.Plugin(), ldap.Module(), backendtest.Config(object{"catalog": object{
		"rules":     []any{object{"allow": []any{"User", "Group"}}},
		"providers": object{"ldapOrg": object{"default": settings}},
	}}))...)
}

func refresh(t *testing.T, b *backendtest.Backend) error {
	t.Helper()
	return b.RunTask(t, "catalog", "LdapOrgEntityProvider:default:refresh")
}

// ingest refreshes, and answers the entities by ref when there are as many.
func ingest(t *testing.T, b *backendtest.Backend, n int) map[string]catalogmodel.Entity {
	t.Helper()
	if err := refresh(t, b); err != nil {
		t.Fatal(err)
	}
	return served.Entities(t, b, n)
}

func TestOrganisation(t *testing.T) {
	t.Parallel()
	d := serve(t, "ldap", "", "")
	ada, bob := d.person("ada", "labeledURI", "https://example.net/ada.png", "description", "First"), d.person("bob")
	leads := d.group("leads", ada)
	team := d.group("team", ada, bob, leads, "uid=nobody,ou=people,"+suffix)
	d.group("staff", team, leads)
	b := start(t, d.settings(object{"users": object{
		"dn":      "ou=people," + suffix,
		"options": object{"filter": "(&\n  (objectClass=inetOrgPerson)\n  ( !(uid=eve) )\n)"},
		"map":     object{"picture": "labeledURI", "description": "description"},
		"set":     object{"metadata.annotations['example.net/from']": "ldap", "spec.profile.x": object{"y": []any{1, true}}},
	}}))
	all := ingest(t, b, 5)

	served.Like(t, "ada", all["user:default/ada"].Spec(), `{"profile": {"displayName": "ADA", "email": "ada@example.net", "picture": "https://example.net/ada.png",
		"x": {"y": [1, true]}}, "memberOf": ["group:default/leads", "group:default/team"]}`)
	uuid := all["user:default/ada"].Annotation("backstage.io/ldap-uuid")
	if len(uuid) != 36 {
		t.Errorf("the unique id of ada is %q", uuid)
	}
	served.Like(t, "the annotations of ada", all["user:default/ada"].Metadata().Get("annotations"), `{
		"backstage.io/ldap-dn": "uid=ada,ou=people,dc=example,dc=net", "backstage.io/ldap-rdn": "ada", "backstage.io/ldap-uuid": "`+uuid+`",
		"backstage.io/managed-by-location": "ldap://default/uid%3Dada%2Cou%3Dpeople%2Cdc%3Dexample%2Cdc%3Dnet",
		"backstage.io/managed-by-origin-location": "ldap://default/uid%3Dada%2Cou%3Dpeople%2Cdc%3Dexample%2Cdc%3Dnet",
		"example.net/from": "ldap"}`)
	if got := all["user:default/ada"].Description(); got != "First" {
		t.Errorf("the description is %q", got)
	}
	served.Like(t, "team", all["group:default/team"].Spec(), `{"type": "unknown", "profile": {"displayName": "team"},
		"parent": "group:default/staff", "children": ["group:default/leads"]}`)
	served.Like(t, "staff", all["group:default/staff"].Spec(), `{"type": "unknown", "profile": {"displayName": "staff"},
		"children": ["group:default/leads", "group:default/team"]}`)
	served.Like(t, "leads, which belong to two groups", all["group:default/leads"].Spec(), `{"type": "unknown", "profile": {"displayName": "leads"},
		"parent": "group:default/staff", "children": []}`)
	if got := all["group:default/team"].Description(); got != "All team" {
		t.Errorf("the description is %q", got)
	}

	// Who is gone from the directory is gone from the catalog; a directory that is gone is another matter.
	if err := d.admin.Del(ldapclient.NewDelRequest(bob, nil)); err != nil {
		t.Fatal(err)
	}
	ingest(t, b, 4)
	d.stop()
	if err := refresh(t, b); err == nil || !strings.Contains(err.Error(), "connecting to "+d.url) {
		t.Errorf("error is %v", err)
	}
	served.Entities(t, b, 4)
}

// TestVendors has a server pretend to be others.
func TestVendors(t *testing.T) {
	t.Parallel()
	guid := string([]byte{0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff})
	for name, test := range map[string]struct {
		root     string
		settings object
		uuid, dn string
	}{
		"Active Directory": {"forestFunctionality: 7\n", nil, "00112233-4455-6677-8899-aabbccddeeff", "cn=Ada," + suffix},
		"FreeIPA":          {"ipaDomainLevel: 1\n", nil, "ipa-1", "uid=ada,ou=people," + suffix},
		"AE-DIR":           {"aeRoot: ou=ae-dir\n", nil, "", "uid=ada,ou=people," + suffix},
		"LLDAP":            {"vendorName: LLDAP\n", nil, "", "uid=ada,ou=people," + suffix},
		"configured": {"forestFunctionality: 7\n", object{"vendor": object{"dnAttributeName": "dn", "uuidAttributeName": "IPAUNIQUEID"}},
			"ipa-1", "uid=ada,ou=people," + suffix},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := serve(t, "ldap", "", test.root)
			d.person("ada", "objectClass", "anyDirectory", "objectGUID", guid, "distinguishedName", "CN=Ada,"+suffix, "ipaUniqueID", "ipa-1")
			ada := ingest(t, start(t, d.settings(test.settings)), 1)["user:default/ada"]
			if uuid := ada.Annotation("backstage.io/ldap-uuid"); test.uuid != "" && uuid != test.uuid || len(uuid) < 5 {
				t.Errorf("the unique id is %q", uuid)
			}
			if dn := ada.Annotation("backstage.io/ldap-dn"); dn != test.dn {
				t.Errorf("the distinguished name is %q", dn)
			}
		})
	}
}

// TestPages reads more entries than the server answers at once.
func TestPages(t *testing.T) {
	t.Parallel()
	d := serve(t, "ldap", "", "")
	names := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	for _, name := range names {
		d.person(name)
	}
	people := func(options object) object {
		return object{"users": object{"dn": "ou=people," + suffix, "options": options}}
	}
	if err := refresh(t, start(t, d.settings(people(nil)))); err == nil || !strings.Contains(err.Error(), "Size Limit Exceeded") {
		t.Errorf("without pages: error is %v", err)
	}
	ingest(t, start(t, d.settings(people(object{"paged": object{"pageSize": 3}}))), len(names))
	if err := refresh(t, start(t, d.settings(people(object{"paged": true})))); err == nil {
		t.Error("pages of 100: the server allows 3 only")
	}
}

func TestSearches(t *testing.T) {
	t.Parallel()
	d := serve(t, "ldap", "", "")
	d.person("ada")
	d.add("ou=more,ou=people,"+suffix, "objectClass", "organizationalUnit", "ou", "more")
	d.add("uid=bob,ou=more,ou=people,"+suffix, "objectClass", "inetOrgPerson", "uid", "bob", "cn", "Bob", "sn", "Bob")
	search := func(dn, scope string) object {
		return object{"dn": dn + suffix, "options": object{"scope": scope, "filter": "objectClass=person", "attributes": "*"}}
	}
	for name, test := range map[string]struct {
		users any
		want  []string
	}{
		"one level":   {search("ou=people,", "one"), []string{"user:default/ada"}},
		"all levels":  {search("ou=people,", "sub"), []string{"user:default/ada", "user:default/bob"}},
		"the entry":   {search("uid=bob,ou=more,ou=people,", "base"), []string{"user:default/bob"}},
		"two of them": {[]any{search("ou=people,", "one"), search("ou=more,ou=people,", "one")}, []string{"user:default/ada", "user:default/bob"}},
	} {
		all := ingest(t, start(t, d.settings(object{"users": test.users})), len(test.want))
		if got := slices.Sorted(maps.Keys(all)); !slices.Equal(got, test.want) {
			t.Errorf("%s: found %v", name, got)
		}
		if name == "the entry" && all["user:default/bob"].Annotation("backstage.io/ldap-uuid") != "" {
			t.Error("attributes were read that were not asked for")
		}
	}
}

func TestEntriesWithoutAName(t *testing.T) {
	t.Parallel()
	d := serve(t, "ldap", "", "")
	d.add("cn=printer,ou=people,"+suffix, "objectClass", "person", "cn", "printer", "sn", "printer")
	b := start(t, d.settings(nil))
	if err := refresh(t, b); err == nil || !strings.Contains(err.Error(), `cn=printer,ou=people,dc=example,dc=net has not one value of the attribute "uid"`) {
		t.Errorf("error is %v", err)
	}
	d.person("ada")
	ingest(t, b, 1)
	if !strings.Contains(b.Log.String(), "An entry was left out") {
		t.Error("the log says nothing of the entry")
	}
}

func TestTransformers(t *testing.T) {
	t.Parallel()
	d := serve(t, "ldap", "", "")
	ada := d.person("ada")
	d.person("eve")
	d.add("cn=printer,ou=people,"+suffix, "objectClass", "person", "cn", "printer", "sn", "printer")
	d.group("Team A", ada)
	b := start(t, d.settings(nil), plugin.NewModule("catalog", "rename", plugin.Init(func(transforms ldap.Transforms) error {
		err := transforms.SetUserTransformer(func(_ context.Context, entry *ldapclient.Entry, standard func() (catalogmodel.Entity, error)) (catalogmodel.Entity, error) {
			if entry.GetAttributeValue("uid") != "ada" {
				return catalogmodel.Entity{}, nil
			}
			return standard()
		})
		if err != nil {
			return err
		}
		return transforms.SetGroupTransformer(func(_ context.Context, _ *ldapclient.Entry, standard func() (catalogmodel.Entity, error)) (catalogmodel.Entity, error) {
			e, err := standard()
			if err != nil {
				return e, err
			}
			name, err := catalogmodel.ValueOf(strings.ReplaceAll(strings.ToLower(e.Name()), " ", "-"))
			return e.With(name, "metadata", "name"), err
		})
	})))
	all := ingest(t, b, 2)
	served.Like(t, "the groups of ada", all["user:default/ada"].Get("spec", "memberOf"), `["group:default/team-a"]`)

	again := plugin.NewModule("catalog", "again", plugin.Init(func(transforms ldap.Transforms) error {
		keep := func(_ context.Context, _ *ldapclient.Entry, standard func() (catalogmodel.Entity, error)) (catalogmodel.Entity, error) {
			return standard()
		}
		_ = transforms.SetUserTransformer(keep)
		return transforms.SetUserTransformer(keep)
	}))
	if _, err := backendtest.TryStart(t, catalog.Plugin(), ldap.Module(), again); err == nil || !strings.Contains(err.Error(), "set already") {
		t.Errorf("error is %v", err)
	}
}

func TestLogin(t *testing.T) {
	t.Parallel()
	d := serve(t, "ldap", "", "")
	d.person("ada")
	b := start(t, d.settings(object{"bind": object{"dn": robotDN, "secret": "wr0ng-secret"}}))
	if err := refresh(t, b); err == nil || !strings.Contains(err.Error(), "Invalid Credentials") || strings.Contains(err.Error(), "wr0ng") {
		t.Errorf("error is %v", err)
	}
	if strings.Contains(b.Log.String(), "wr0ng") {
		t.Error("the secret is in the log")
	}
	if err := refresh(t, start(t, d.settings(object{"bind": nil}))); err == nil {
		t.Error("the server lets nobody read anonymously")
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	cert, key := certificate(t)
	d := serve(t, "ldaps", "TLSCertificateFile "+cert+"\nTLSCertificateKeyFile "+key+"\nTLSCACertificateFile "+cert+"\nTLSVerifyClient try\n", "")
	d.person("ada")
	if err := refresh(t, start(t, d.settings(nil))); err == nil || !strings.Contains(err.Error(), "certificate signed by unknown authority") {
		t.Errorf("error is %v", err)
	}
	ingest(t, start(t, d.settings(object{"tls": object{"rejectUnauthorized": false}})), 1)
	ingest(t, start(t, d.settings(object{"tls": object{"rejectUnauthorized": false, "certs": cert, "keys": key}})), 1)
	stranger, itsKey := certificate(t)
	err := refresh(t, start(t, d.settings(object{"tls": object{"rejectUnauthorized": false, "certs": stranger, "keys": itsKey}})))
	if err == nil {
		t.Error("the server takes the certificate of a stranger")
	}
	err = refresh(t, start(t, d.settings(object{"tls": object{"certs": "missing.pem", "keys": key}})))
	if err == nil || !strings.Contains(err.Error(), "missing.pem") {
		t.Errorf("error is %v", err)
	}
}

func TestConfigurationIsChecked(t *testing.T) {
	t.Parallel()
	d := &directory{url: "ldap://127.0.0.1:1"}
	people := func(more object) object {
		search := object{"dn": "ou=people," + suffix}
		maps.Copy(search, more)
		return object{"users": search}
	}
	for want, more := range map[string]object{
		"ldaps://ds.example.net":       {"target": "ds.example.net"},
		"none of ldap, ldaps":          {"target": "https://ds.example.net"},
		"certs and keys":               {"tls": object{"certs": "a.pem"}},
		"the filter (uid":              people(object{"options": object{"filter": "(uid"}}),
		"the dn people":                people(object{"dn": "people"}),
		"the path \"a..b\"":            people(object{"set": object{"a..b": 1}}),
		"options.scope":                people(object{"options": object{"scope": "two"}}),
		"pageSize":                     people(object{"options": object{"paged": object{"pageSize": 0}}}),
		"ldapOrg.default.schedule":     {"schedule": nil},
		"ldapOrg.default.bind.secret ": {"bind": object{"dn": robotDN}},
	} {
		_, err := backendtest.TryStart(t, catalog.Plugin(), ldap.Module(), backendtest.Config(object{
			"catalog": object{"providers": object{"ldapOrg": object{"default": d.settings(more)}}},
		}))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want one about %s", err, want)
		}
	}
}

package auth_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/auth"
	"github.com/portico-dev/portico/plugins/auth/guest"
	"github.com/portico-dev/portico/plugins/catalog/catalogtest"
	"github.com/portico-dev/portico/service"
	serviceauth "github.com/portico-dev/portico/service/auth"
)

// member is a user or a group that has relations of the type to groups.
func member(t testing.TB, kind, name, relation string, groups ...string) catalogmodel.Entity {
	t.Helper()
	relations := make([]string, len(groups))
	for i, group := range groups {
		relations[i] = fmt.Sprintf(`{"type":%q,"targetRef":"group:default/%s"}`, relation, group)
	}
	e, err := catalogmodel.ParseJSON(fmt.Appendf(nil, `{"apiVersion":"backstage.io/v1alpha1","kind":%q,"metadata":{"name":%q},"spec":{},"relations":[%s]}`,
		kind, name, strings.Join(relations, ",")))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// signInJane signs in user:default/jane as a guest of a portal whose catalog has just these entities.
func signInJane(t testing.TB, catalog service.Service, more ...backend.Feature) (*backendtest.Backend, answer) {
	t.Helper()
	features := []backend.Feature{
		backendtest.Config(object{"app": object{"baseUrl": appOrigin}, "auth": object{"providers": object{"guest": object{
			"dangerouslyAllowOutsideDevelopment": true, "userEntityRef": "user:default/jane"}}}}),
		auth.Plugin(), guest.Module(), catalog,
	}
	for _, s := range serviceauth.Services() {
		features = append(features, s)
	}
	b := backendtest.Start(t, append(features, more...)...)
	return b, newBrowser(t).get(b.URL() + "/api/auth/guest/refresh")
}

// direct has users own what they own in Backstage.
func direct() plugin.Module {
	return plugin.NewModule("auth", "direct-ownership", plugin.Init(func(o auth.Ownership) { o.SetOwnershipResolver(auth.DirectOwnership) }))
}

// TestOwnership has groups in groups, with a circle, a group that is above two others, and one that nobody has described.
func TestOwnership(t *testing.T) {
	t.Parallel()
	catalog := catalogtest.Service(
		member(t, "User", "jane", "memberOf", "team", "unknown", "guild"),
		member(t, "Group", "team", "childOf", "department"), member(t, "Group", "guild", "childOf", "department"),
		member(t, "Group", "department", "childOf", "company"), member(t, "Group", "company", "childOf", "team"),
		member(t, "Group", "others", "childOf", "company"),
	)
	const jane, team, unknown, guild = "user:default/jane", "group:default/team", "group:default/unknown", "group:default/guild"
	for name, c := range map[string]struct {
		more []backend.Feature
		want []string
	}{
		"by default": {nil, []string{jane, team, unknown, guild, "group:default/department", "group:default/company"}},
		"direct":     {[]backend.Feature{direct()}, []string{jane, team, unknown, guild}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, answered := signInJane(t, catalog, c.more...)
			identity := answered.session(t).BackstageIdentity
			if !reflect.DeepEqual(identity.Identity.OwnershipEntityRefs, c.want) {
				t.Errorf("jane owns what %v own", identity.Identity.OwnershipEntityRefs)
			}
			if info := newBrowser(t).get(b.URL()+"/api/auth/v1/userinfo", "Authorization", "Bearer "+identity.Token); strings.Count(info.body, "group:default/") != len(c.want)-1 {
				t.Errorf("the user info is %s", info.body)
			}
		})
	}
}

// TestBoundsOfOwnership has catalogs with very many groups.
func TestBoundsOfOwnership(t *testing.T) {
	t.Parallel()
	const many = 10_000
	names := make([]string, many+1)
	for i := range names {
		names[i] = fmt.Sprintf("g%d", i)
	}
	hierarchy := []catalogmodel.Entity{member(t, "Group", names[0], "childOf"), member(t, "User", "jane", "memberOf", names[many-1])}
	for i, name := range names[1:many] {
		hierarchy = append(hierarchy, member(t, "Group", name, "childOf", names[i/3]))
	}
	chain := []catalogmodel.Entity{member(t, "User", "jane", "memberOf", names[100])}
	for i, name := range names[1:101] {
		chain = append(chain, member(t, "Group", name, "childOf", names[i]))
	}
	for name, c := range map[string]struct {
		entities []catalogmodel.Entity
		owned    int
		log      string
	}{
		"a hierarchy of 10,000 groups": {hierarchy, 1 + 10, ""},
		"a member of 10,000 groups":    {[]catalogmodel.Entity{member(t, "User", "jane", "memberOf", names[:many]...)}, 1 + many, ""},
		"a member of more":             {[]catalogmodel.Entity{member(t, "User", "jane", "memberOf", names...)}, 1, "in more than 10000 groups"},
		"groups nested too deep":       {chain, 1, "nested more than 100 levels deep"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, answered := signInJane(t, catalogtest.Service(c.entities...))
			// Who can't be looked up is still a guest, but owns nothing else.
			if owned := answered.session(t).BackstageIdentity.Identity.OwnershipEntityRefs; len(owned) != c.owned {
				t.Errorf("jane owns what %d own", len(owned))
			}
			if !strings.Contains(b.Log.String(), c.log) {
				t.Errorf("the log doesn't tell that the groups are %s", c.log)
			}
		})
	}
}

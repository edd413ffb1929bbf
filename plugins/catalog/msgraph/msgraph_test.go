package msgraph_test

import (
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/plugins/catalog/internal/served"
	"github.com/portico-dev/portico/plugins/catalog/msgraph"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// settings are those of a provider for the tenant; more of them replace them.
func (g *graph) settings(more object) object {
	s := object{
		"target": g.server.URL + "/v1.0/", "authority": g.server.URL + "/login", "tenantId": tenant, "clientId": "app", "clientSecret": secret,
		"schedule": object{"frequency": object{"trigger": "manual"}, "timeout": "PT1H"},
	}
	maps.Copy(s, more)
	return s
}

func start(t *testing.T, providers object, features ...backend.Feature) *backendtest.Backend {
	t.Helper()
	return backendtest.Start(t, append(features, catalog.Plugin(), msgraph.Module(), backendtest.Config(object{"catalog": object{
		"rules":     []any{object{"allow": []any{"User", "Group"}}},
		"providers": object{"microsoftGraphOrg": providers},
	}}))...)
}

func refresh(t *testing.T, b *backendtest.Backend) error {
	t.Helper()
	return b.RunTask(t, "catalog", "MicrosoftGraphOrgEntityProvider:default:refresh")
}

// ingest refreshes, and answers the entities by ref when there are as many.
func ingest(t *testing.T, b *backendtest.Backend, n int) map[string]catalogmodel.Entity {
	t.Helper()
	if err := refresh(t, b); err != nil {
		t.Fatal(err)
	}
	return served.Entities(t, b, n)
}

// acme has people in teams in teams.
func acme(t *testing.T) *graph {
	g := newGraph(t)
	g.users = []object{
		{"id": "u1", "displayName": "Ada", "mail": "Ada.L@acme.example", "accountEnabled": true},
		{"id": "u2", "displayName": "Bob", "mail": nil, "userPrincipalName": "bob#EXT#@acme.example__"},
		{"id": "u3", "displayName": "Eve", "mail": "eve@acme.example", "accountEnabled": false},
		{"id": "u4", "displayName": "Nameless"},
		{"id": "u5"},
	}
	g.groups = []object{
		{"id": "g1", "displayName": "All of Engineering!", "securityEnabled": true, "mailNickname": "x", "description": "They build", "mail": "eng@acme.example"},
		{"id": "g2", "displayName": "Team A", "mailNickname": "team-a"},
		{"id": "g3", "displayName": "Team B", "securityEnabled": false},
	}
	g.members = map[string][]string{"g1": {"g2", "g3", "device"}, "g2": {"u1", "u2", "u3"}, "g3": {"u1", "g2"}}
	g.photos = map[string]map[string]int{"u1": {"48x48": 48, "120x120": 120, "648x648": 648}}
	return g
}

func TestTenant(t *testing.T) {
	t.Parallel()
	g := acme(t)
	b := start(t, object{"default": g.settings(nil)})
	all := ingest(t, b, 6)
	if got, want := strings.Join(slices.Sorted(maps.Keys(all)), " "), "group:default/acme_inc group:default/all_of_engineering group:default/team-a "+
		"group:default/team_b user:default/ada.l_acme.example user:default/bob_ext_acme.example"; got != want {
		t.Fatalf("the catalog has %s", got)
	}
	ada := all["user:default/ada.l_acme.example"]
	served.Like(t, "ada", ada.Spec(), `{"profile": {"displayName": "Ada", "email": "Ada.L@acme.example", "picture": "data:image/jpeg;base64,cGhvdG8gMTIweDEyMCBvZiB1MQ=="},
		"memberOf": ["group:default/team-a", "group:default/team_b"]}`)
	served.Like(t, "the annotations of ada", ada.Metadata().Get("annotations"), `{"graph.microsoft.com/user-id": "u1", "microsoft.com/email": "Ada.L@acme.example",
		"backstage.io/managed-by-location": "msgraph:default/u1", "backstage.io/managed-by-origin-location": "msgraph:default/u1"}`)
	served.Like(t, "bob", all["user:default/bob_ext_acme.example"].Spec(), `{"profile": {"displayName": "Bob"}, "memberOf": ["group:default/team-a"]}`)
	root := all["group:default/acme_inc"]
	served.Like(t, "the organisation", root.Spec(), `{"type": "root", "profile": {"displayName": "Acme  Inc"}, "children": ["group:default/all_of_engineering"]}`)
	if root.Annotation("graph.microsoft.com/tenant-id") != tenant || root.Description() != "Acme  Inc" {
		t.Errorf("the organisation is %s", root)
	}
	engineering := all["group:default/all_of_engineering"]
	served.Like(t, "engineering", engineering.Spec(), `{"type": "team", "profile": {"displayName": "All of Engineering!", "email": "eng@acme.example"},
		"children": ["group:default/team-a", "group:default/team_b"], "parent": "group:default/acme_inc"}`)
	if engineering.Description() != "They build" || engineering.Annotation("graph.microsoft.com/group-id") != "g1" {
		t.Errorf("engineering is %s", engineering)
	}
	served.Like(t, "team A, in two groups", all["group:default/team-a"].Spec(), `{"type": "team", "profile": {"displayName": "Team A"}, "children": [],
		"parent": "group:default/all_of_engineering"}`)
	if pages := g.asked("/v1.0/users"); len(pages) != 3 || pages[0].URL.Query().Get("$top") != "999" ||
		pages[0].URL.Query().Get("$select") != "businessPhones,displayName,givenName,id,jobTitle,mail,mobilePhone,officeLocation,preferredLanguage,"+
			"surname,userPrincipalName,accountEnabled" || pages[0].Header.Get("ConsistencyLevel") != "" {
		t.Errorf("asked for the users by %v", pages)
	}
	if !strings.Contains(b.Log.String(), "left out") || strings.Contains(b.Log.String(), secret) {
		t.Error("the log does not tell of the user without a name, or tells the secret")
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	g := acme(t)
	ingest(t, start(t, g.settings(object{
		"queryMode": "advanced",
		"user":      object{"filter": "userType eq 'member'", "select": []any{"ID", "mail", "displayName"}, "expand": "manager", "loadPhotos": false},
		"group":     object{"search": `"displayName:-team"`, "select": []any{"id", "displayName"}, "expand": "members"},
	})), 6)
	users, groups := g.asked("/v1.0/users")[0], g.asked("/v1.0/groups")[0]
	if got, want := users.URL.RawQuery, "%24count=true&%24expand=manager&%24filter=userType%20eq%20%27member%27&%24select=ID%2Cmail%2CdisplayName%2CaccountEnabled&%24top=999"; got != want {
		t.Errorf("asked for the users by\n%s, want\n%s", got, want)
	}
	if got, want := groups.URL.RawQuery, "%24count=true&%24expand=members&%24search=%22displayName%3A-team%22&%24select=id%2CdisplayName&%24top=999"; got != want {
		t.Errorf("asked for the groups by\n%s, want\n%s", got, want)
	}
	if users.Header.Get("ConsistencyLevel") != "eventual" || groups.Header.Get("ConsistencyLevel") != "eventual" {
		t.Error("advanced queries need a header")
	}
	if photos := g.asked("/photos"); photos != nil {
		t.Errorf("asked for the photos by %v", photos)
	}
}

func TestUsersInGroups(t *testing.T) {
	t.Parallel()
	g := acme(t)
	all := ingest(t, start(t, object{"default": g.settings(object{
		"userGroupMember": object{"filter": "displayName eq 'Team B'"}, "group": object{"path": "/groups/g1/members/microsoft.graph.group/", "includeSubGroups": true},
	})}), 5)
	// Graph was asked for the members of all groups, since this one does not know filters. The user without a name is in none.
	if _, ok := all["user:default/bob_ext_acme.example"]; !ok || len(g.asked("/members/microsoft.graph.user/")) != 4 {
		t.Errorf("the catalog has %v", slices.Sorted(maps.Keys(all)))
	}
	if filter := g.asked("/v1.0/groups")[0].URL.Query().Get("$filter"); filter != "displayName eq 'Team B'" {
		t.Errorf("asked for the groups by %s", filter)
	}
}

func TestSubGroups(t *testing.T) {
	t.Parallel()
	g := acme(t)
	path := object{"path": "groups/g3/members/microsoft.graph.group"}
	g.members["g2"] = append(g.members["g2"], "g1")
	ingest(t, start(t, object{"default": g.settings(object{"group": path})}), 4) // two users, the organisation and team A
	path["includeSubGroups"] = true
	all := ingest(t, start(t, object{"default": g.settings(object{"group": path})}), 5)
	if parent := all["group:default/all_of_engineering"].Get("spec", "parent").Text(); parent != "group:default/team-a" {
		t.Errorf("the parent of engineering is %q", parent)
	}
}

// TestThrottling has every request refused once.
func TestThrottling(t *testing.T) {
	t.Parallel()
	g := acme(t)
	seen := map[string]bool{}
	g.before = func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/login/") || seen[r.URL.String()] {
			return false
		}
		seen[r.URL.String()] = true
		w.Header().Set("Retry-After", "7")
		g.refuse(w, http.StatusTooManyRequests, "TooManyRequests", "Slow down")
		return true
	}
	b := start(t, object{"default": g.settings(nil)})
	done := make(chan struct{})
	moved := make(chan struct{})
	go func() {
		defer close(moved)
		for { // a second at a time, and only while somebody waits
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
			_ = b.Clock.BlockUntilContext(ctx, 1)
			cancel()
			select {
			case <-done:
				return
			default:
				b.Clock.Advance(time.Second)
			}
		}
	}()
	begun := b.Clock.Now()
	err := refresh(t, b)
	close(done)
	<-moved
	if err != nil {
		t.Fatal(err)
	}
	if waited := b.Clock.Since(begun); waited < 7*time.Second {
		t.Errorf("waited for %s only", waited)
	}
	ingest(t, b, 6)
}

func TestFailures(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		before   func(g *graph, w http.ResponseWriter, r *http.Request) bool
		settings object
		want     string
	}{
		"a refusal": {func(g *graph, w http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, "/groups") {
				g.refuse(w, http.StatusForbidden, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
			}
			return strings.HasSuffix(r.URL.Path, "/groups")
		}, nil, "reading groups from Microsoft Graph: Authorization_RequestDenied - Insufficient privileges to complete the operation."},
		"a proxy": {func(_ *graph, w http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, "/users") {
				http.Error(w, "<html>", http.StatusProxyAuthRequired)
			}
			return strings.HasSuffix(r.URL.Path, "/users")
		}, nil, "reading users from Microsoft Graph: 407 Proxy Authentication Required"},
		"no JSON": {func(_ *graph, w http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, "/users") {
				_, _ = io.WriteString(w, "<html>")
			}
			return strings.HasSuffix(r.URL.Path, "/users")
		}, nil, "the answer is not the expected JSON"},
		"a page elsewhere": {func(g *graph, w http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, "/users") {
				g.answer(w, object{"value": []any{}, "@odata.nextLink": "http://attacker.example/v1.0/users"})
			}
			return strings.HasSuffix(r.URL.Path, "/users")
		}, nil, "the next page is said to be on another server"},
		"a wrong secret": {nil, object{"clientSecret": "wr0ng"}, "logging in: 401 Unauthorized invalid_client AADSTS7000215: Invalid client secret."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := acme(t)
			b := start(t, object{"default": g.settings(nil), "other": g.settings(test.settings)})
			ingest(t, b, 6)
			if test.before != nil {
				g.mu.Lock()
				g.before = func(w http.ResponseWriter, r *http.Request) bool { return test.before(g, w, r) }
				g.mu.Unlock()
			}
			err := b.RunTask(t, "catalog", "MicrosoftGraphOrgEntityProvider:other:refresh")
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "wr0ng") || strings.Contains(err.Error(), "Trace") {
				t.Errorf("error is %v", err)
			}
		})
	}
}

// TestRedirects has Graph send the backend elsewhere, where the token must not arrive.
func TestRedirects(t *testing.T) {
	t.Parallel()
	got := make(chan string, 100)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got <- r.Header.Get("Authorization")
		w.WriteHeader(http.StatusTeapot)
	}))
	t.Cleanup(elsewhere.Close)
	g := acme(t)
	g.before = func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/login/") {
			return false
		}
		http.Redirect(w, r, strings.Replace(elsewhere.URL, "127.0.0.1", "localhost", 1), http.StatusFound)
		return true
	}
	if err := refresh(t, start(t, object{"default": g.settings(nil)})); err == nil {
		t.Error("no error")
	}
	if token := <-got; token != "" {
		t.Errorf("the other server got %q", token)
	}
}

func TestTransformers(t *testing.T) {
	t.Parallel()
	g := acme(t)
	b := start(t, object{"default": g.settings(nil)}, plugin.NewModule("catalog", "rename", plugin.Init(func(transforms msgraph.Transforms) error {
		if err := transforms.SetOrganizationTransformer(func(context.Context, msgraph.Object, func() catalogmodel.Entity) (catalogmodel.Entity, error) {
			return catalogmodel.Entity{}, nil
		}); err != nil {
			return err
		}
		if err := transforms.SetGroupTransformer(func(_ context.Context, o msgraph.Object, standard func() catalogmodel.Entity) (catalogmodel.Entity, error) {
			if o.Text("id") == "g3" {
				return catalogmodel.Entity{}, nil
			}
			return standard(), nil
		}); err != nil {
			return err
		}
		return transforms.SetUserTransformer(func(_ context.Context, o msgraph.Object, standard func() catalogmodel.Entity) (catalogmodel.Entity, error) {
			e := standard()
			if e.IsZero() {
				return e, nil
			}
			name, err := catalogmodel.ValueOf(o.Text("id"))
			return e.With(name, "metadata", "name"), err
		})
	})))
	all := ingest(t, b, 5)
	if got := strings.Join(slices.Sorted(maps.Keys(all)), " "); got != "group:default/all_of_engineering group:default/team-a user:default/u1 user:default/u2 user:default/u4" {
		t.Errorf("the catalog has %s", got)
	}
	served.Like(t, "ada's groups", all["user:default/u1"].Get("spec", "memberOf"), `["group:default/team-a"]`)
}

// TestAmbientIdentities is not parallel: it sets the environment.
func TestAmbientIdentities(t *testing.T) {
	g := acme(t)
	anonymous := object{"default": g.settings(object{"clientId": nil, "clientSecret": nil})}
	t.Setenv("AZURE_CLIENT_ID", "app")
	t.Setenv("AZURE_CLIENT_SECRET", secret)
	ingest(t, start(t, anonymous), 6)
	if last := g.logins[len(g.logins)-1]; last.Get("client_secret") != secret {
		t.Errorf("logged in by %v", last)
	}
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("assertion\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AZURE_FEDERATED_TOKEN_FILE", file)
	ingest(t, start(t, anonymous), 6)
	if last := g.logins[len(g.logins)-1]; last.Get("client_assertion") != "assertion" || last.Get("client_secret") != "" ||
		last.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
		t.Errorf("logged in by %v", last)
	}
}

func TestConfigurationIsChecked(t *testing.T) {
	t.Parallel()
	g := newGraph(t)
	for want, more := range map[string]object{
		"is not an HTTP address":      {"target": "graph.microsoft.com"},
		"belong together":             {"clientSecret": nil},
		"exclude each other":          {"user": object{"filter": "x"}, "userGroupMember": object{"search": "y"}},
		"queryMode":                   {"queryMode": "fancy"},
		"default.schedule":            {"schedule": nil},
		"microsoftGraphOrg.default.t": {"tenantId": nil},
	} {
		_, err := backendtest.TryStart(t, catalog.Plugin(), msgraph.Module(), backendtest.Config(object{
			"catalog": object{"providers": object{"microsoftGraphOrg": object{"default": g.settings(more)}}},
		}))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want one about %s", err, want)
		}
	}
}

// TestManagedIdentity is not parallel: it sets the environment. The machine's metadata service answers as it is described at
// https://learn.microsoft.com/en-us/entra/identity/managed-identities-azure-resources/how-to-use-vm-token.
func TestManagedIdentity(t *testing.T) {
	g := acme(t)
	asked := make(chan *http.Request, 1)
	machine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r
		g.answer(w, object{"access_token": "token", "expires_in": "3599", "expires_on": "1700003599", "resource": "http://127.0.0.1", "token_type": "Bearer"})
	}))
	t.Cleanup(machine.Close)
	t.Setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", machine.URL)
	t.Setenv("AZURE_CLIENT_ID", "the-identity")
	ingest(t, start(t, object{"default": g.settings(object{"clientId": nil, "clientSecret": nil})}), 6)
	r := <-asked
	q := r.URL.Query()
	if r.URL.Path != "/metadata/identity/oauth2/token" || r.Header.Get("Metadata") != "true" || q.Get("api-version") != "2018-02-01" ||
		q.Get("resource") != "http://127.0.0.1" || q.Get("client_id") != "the-identity" {
		t.Errorf("asked for %s with the header Metadata: %s", r.URL, r.Header.Get("Metadata"))
	}
}

// TestNoManagedIdentity has the machine's metadata service know no such identity, which asking again would not change. It is not parallel: it sets
// the environment.
func TestNoManagedIdentity(t *testing.T) {
	g := acme(t)
	machine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		g.answer(w, object{"error": "invalid_request", "error_description": "Identity not found"})
	}))
	t.Cleanup(machine.Close)
	t.Setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", machine.URL)
	b := start(t, object{"default": g.settings(object{"clientId": nil, "clientSecret": nil})})
	// The clock stands still: whoever waits to ask again waits forever.
	if err := refresh(t, b); err == nil || !strings.Contains(err.Error(), "logging in: 400 Bad Request invalid_request Identity not found") {
		t.Errorf("error is %v", err)
	}
}

package github_test

import (
	"net/http"
	"testing"

	"github.com/portico-dev/portico/plugins/catalog/github"
	"github.com/portico-dev/portico/plugins/catalog/internal/served"
)

// rest answers what a test has put there.
func (s *gitHub) rest(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.version != "" {
		w.Header().Set("X-GitHub-Enterprise-Version", s.version)
	}
	found, ok := s.answers[r.PathValue("path")]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	answer(w, found)
}

// TestSuspendedUsers has users suspended on the server and in an organization, and asks REST about it.
func TestSuspendedUsers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		version string
		more    object
		want    []string
	}{
		"a server of one's own": {"3.17.0", object{"excludeSuspendedUsers": true}, []string{"ann"}},
		"github.com":            {"", object{"excludeSuspendedUsers": true}, []string{"ann", "bob", "gone"}},
		"all are wanted":        {"3.17.0", object{}, []string{"ann", "bob", "gone"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newGitHub(t)
			s.fill()
			s.version = test.version
			s.answers = map[string]any{
				"versions": []string{"2022-11-28"},
				// Bob is suspended in the organization. Nothing is said about one who has just left.
				"orgs/Acme/memberships/Bob": object{"role": "suspended"}, "users/Bob": object{"suspended_at": nil},
				"orgs/Acme/memberships/ann": object{"role": "member"}, "users/ann": object{"suspended_at": nil},
				"users/gone": object{"suspended_at": "2026-01-01T00:00:00Z"},
			}
			test.more["orgs"], test.more["experimental_checkForSuspendedUsersWithRest"] = []any{"Acme"}, true
			b := start(t, github.OrgModule(), s.config(token, s.orgConfig(test.more)))
			found := served.Entities(t, b, len(test.want)+2) // and the teams
			for _, user := range test.want {
				if found["user:default/"+user].IsZero() {
					t.Errorf("%s is not there: %v", user, found)
				}
			}
			if test.version == "" || len(test.want) > 1 {
				return
			}
			payload := object{"action": "member_added", "organization": object{"login": "Acme"},
				"membership": object{"user": object{"login": "dan", "node_id": "x"}}}
			s.with(func() {
				s.users["Acme"] = append(s.users["Acme"], member("dan", nil), member("eve", nil))
				s.answers["users/dan"] = object{"suspended_at": "2026-01-01T00:00:00Z"}
			})
			b.Publish(t, "github.organization", payload)
			payload["membership"] = object{"user": object{"login": "eve", "node_id": "y"}}
			b.Publish(t, "github.organization", payload)
			served.Part(t, b, "user:default/eve", `"eve"`, "metadata", "name")
			if served.Entity(t, b, "user:default/dan") != nil {
				t.Error("a suspended user who was added is there")
			}
		})
	}
}

package github

import (
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/portico-dev/portico/plugins/catalog/internal/forge"
	"github.com/portico-dev/portico/service/integration"
)

// maxQuestions is how many users are asked about side by side.
const maxQuestions = 8

// checkSuspended notes which of the users of an organization are suspended, there or on the whole server, by questions about each of them. At
// github.com, nobody is: only a server of one's own tells its version.
func (a *api) checkSuspended(ctx context.Context, org string, users []User) error {
	var versions []string
	header, err := a.rest(ctx, org, "the version of the server", &versions, "versions")
	if err != nil || header == "" {
		return err
	}
	questions, ctx := errgroup.WithContext(ctx)
	questions.SetLimit(maxQuestions)
	for i := range users {
		u := &users[i]
		questions.Go(func() error {
			what := "whether " + u.Login + " is suspended"
			var membership struct{ Role string }
			if _, err := a.rest(ctx, org, what, &membership, "orgs", org, "memberships", u.Login); err != nil {
				return err
			}
			u.suspended = membership.Role == "suspended"
			var found struct {
				SuspendedAt *string `json:"suspended_at"`
			}
			_, err := a.rest(ctx, org, what, &found, "users", u.Login)
			u.suspended = u.suspended || found.SuspendedAt != nil
			return err
		})
	}
	return questions.Wait()
}

// rest asks the REST API, and answers the version of the server, if it tells one. What isn't there is left as it is.
func (a *api) rest(ctx context.Context, org, what string, into any, path ...string) (version string, err error) {
	header, err := a.client.Get(ctx, forge.Request{What: what, At: integration.Location{Owner: org}, URL: a.server.APIBase.JoinPath(path...)}, into)
	if isMissing(err) {
		err = nil
	}
	return header.Get("X-GitHub-Enterprise-Version"), err
}

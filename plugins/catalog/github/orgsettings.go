package github

import (
	"fmt"
	"slices"
	"strings"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/integration"
)

const orgKey = "catalog.providers.githubOrg"

// orgSettings are what the configuration says of the organizations of a server.
type orgSettings struct {
	key, host string

	ID        string `schema:"required,min=1" config:"id"`
	GitHubURL string `schema:"required" config:"githubUrl"`
	Orgs      []string
	Schedule  service.Schedule
	PageSizes struct {
		Teams               int `schema:"min=1,max=100"`
		TeamMembers         int `schema:"min=1,max=100"`
		OrganizationMembers int `schema:"min=1,max=100"`
	}
	ExcludeSuspendedUsers bool
	// AskREST has suspended users found by REST instead of GraphQL.
	AskREST                bool `config:"experimental_checkForSuspendedUsersWithRest"`
	DefaultUserTransformer struct{ UseVerifiedEmails bool }

	// oneNamespace has the groups in the default namespace, instead of one for each organization.
	oneNamespace bool
}

// UnmarshalConfig sets what isn't configured to its default and checks the URL.
func (s *orgSettings) UnmarshalConfig(decode func(dst any) error) error {
	type plain orgSettings
	var p plain
	p.PageSizes.Teams, p.PageSizes.TeamMembers, p.PageSizes.OrganizationMembers = 25, 50, 50
	if err := decode(&p); err != nil {
		return err
	}
	u, err := integration.ParseURL(p.GitHubURL)
	if err != nil {
		return fmt.Errorf("has a wrong githubUrl: %w", err)
	}
	p.host = u.Host
	*s = orgSettings(p)
	return nil
}

// includes tells whether the organization is one of those that are named.
func (s *orgSettings) includes(org string) bool {
	return slices.ContainsFunc(s.Orgs, func(one string) bool { return strings.EqualFold(one, org) })
}

// readOrgs reads the configuration: an object or a list of them.
func readOrgs(cfg service.Config) ([]orgSettings, error) {
	if !cfg.Has(orgKey) {
		return nil, nil
	}
	var value any
	if err := cfg.Decode(orgKey, &value); err != nil {
		return nil, err
	}
	var all []orgSettings
	var err error
	if _, isList := value.([]any); isList {
		err = cfg.Decode(orgKey, &all)
	} else {
		all = make([]orgSettings, 1)
		err = cfg.Decode(orgKey, &all[0])
	}
	for i := range all {
		all[i].key = orgKey + " (" + all[i].ID + ")"
		all[i].oneNamespace = len(all) == 1 && len(all[0].Orgs) == 1
	}
	return all, err
}

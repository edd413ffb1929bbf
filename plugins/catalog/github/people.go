package github

import (
	"context"
	"fmt"
	"time"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/integration"
)

// User is a member of an organization, as GitHub describes it.
type User struct {
	// Organization is the login of the organization in which the user was found.
	Organization string `json:"-"`
	Login        string
	ID           string // of the node in GitHub's graph
	Name         string
	Bio          string
	AvatarURL    string
	// Email is the public address. An app can't see it.
	Email string
	// VerifiedEmails are the addresses at the domains that the organization has verified.
	VerifiedEmails []string `json:"organizationVerifiedDomainEmails"`
	// SuspendedAt is when the user was suspended, where that is asked for.
	SuspendedAt *time.Time

	suspended bool // as REST tells
}

func (u User) isSuspended() bool { return u.suspended || u.SuspendedAt != nil }

// Team is a team of an organization, as GitHub describes it.
type Team struct {
	// Organization is the login of the organization.
	Organization string
	Slug         string
	Name         string
	Description  string
	AvatarURL    string
	EditURL      string
	// Parent is the slug of the team that this one belongs to, or empty.
	Parent string
	// Members are the logins of the direct members.
	Members []string
}

// teamNode is a team in answers.
type teamNode struct {
	Slug, Name, Description string
	AvatarURL, EditTeamURL  string
	ParentTeam              *struct{ Slug string }
	Members                 *connection[struct{ Login string }]
}

func (n teamNode) team(org string) Team {
	t := Team{Organization: org, Slug: n.Slug, Name: n.Name, Description: n.Description, AvatarURL: n.AvatarURL, EditURL: n.EditTeamURL}
	if n.ParentTeam != nil {
		t.Parent = n.ParentTeam.Slug
	}
	if n.Members != nil {
		for _, m := range n.Members.Nodes {
			if m != nil {
				t.Members = append(t.Members, m.Login)
			}
		}
	}
	return t
}

// userFields are what is asked of users. The server of github.com doesn't know suspendedAt.
func (s *orgSettings) userFields() string {
	fields := "login id name bio avatarUrl email @include(if: $email) organizationVerifiedDomainEmails(login: $org)"
	if s.ExcludeSuspendedUsers && !s.AskREST {
		fields += " suspendedAt"
	}
	return fields
}

const (
	teamFields   = `slug name description avatarUrl editTeamUrl parentTeam { slug }`
	teamsMembers = `members(first: $members, membership: IMMEDIATE) { nodes { login } pageInfo { hasNextPage endCursor } }`
	pageInfo     = `pageInfo { hasNextPage endCursor }`
	teamsQuery   = `query teams($org: String!, $first: Int!, $cursor: String, $members: Int!) {
  organization(login: $org) { teams(first: $first, after: $cursor, orderBy: {field: NAME, direction: ASC}) { nodes { ` +
		teamFields + ` ` + teamsMembers + ` } ` + pageInfo + ` } }
}`
	teamsOfUserQuery = `query teamsOfUser($org: String!, $login: String!, $first: Int!, $cursor: String) {
  organization(login: $org) { teams(first: $first, after: $cursor, userLogins: [$login], orderBy: {field: NAME, direction: ASC}) { nodes { ` +
		teamFields + ` } ` + pageInfo + ` } }
}`
	teamQuery = `query team($org: String!, $slug: String!, $members: Int!) {
  organization(login: $org) { team(slug: $slug) { ` + teamFields + ` ` + teamsMembers + ` } }
}`
	membersQuery = `query members($org: String!, $slug: String!, $members: Int!, $cursor: String) {
  organization(login: $org) { team(slug: $slug) {
    members(first: $members, after: $cursor, membership: IMMEDIATE) { nodes { login } ` + pageInfo + ` }
  } }
}`
)

// credentials tells whether those for an organization are a user's, which may see public addresses. There have to be some: without them,
// an organization looks empty.
func (a *api) credentials(ctx context.Context, org string) (ofUser bool, err error) {
	c, err := a.server.Credentials(ctx, integration.Location{Owner: org})
	if err == nil && c.Authorization() == "" {
		err = service.NotAllowedError.Errorf("there are no credentials for the organization %s of %s: "+
			"install the GitHub App there, or configure a token below integrations.github", org, a.server.Host())
	}
	return !c.IsApp(), err
}

// users are the members of an organization.
func (a *api) users(ctx context.Context, org string, s *orgSettings) ([]User, error) {
	email, err := a.credentials(ctx, org)
	if err != nil {
		return nil, err
	}
	what := "the members of " + org
	query := `query users($org: String!, $email: Boolean!, $first: Int!, $cursor: String) {
  organization(login: $org) { membersWithRole(first: $first, after: $cursor) { nodes { ` + s.userFields() + ` } ` + pageInfo + ` } }
}`
	all, err := pages(ctx, what, func(ctx context.Context, cursor *string) (*connection[User], error) {
		var answer struct {
			Organization *struct{ MembersWithRole *connection[User] }
		}
		v := variables{"org": org, "email": email, "first": s.PageSizes.OrganizationMembers, "cursor": cursor}
		if err := a.ask(ctx, org, what, query, v, &answer); err != nil || answer.Organization == nil {
			return nil, err
		}
		return answer.Organization.MembersWithRole, nil
	})
	for i := range all {
		all[i].Organization = org
	}
	if err == nil && s.ExcludeSuspendedUsers && s.AskREST {
		err = a.checkSuspended(ctx, org, all)
	}
	return all, err
}

// user is a user and the organizations that it belongs to, or nil if there is none.
func (a *api) user(ctx context.Context, org, login string, s *orgSettings) (*User, []string, error) {
	email, err := a.credentials(ctx, org)
	if err != nil {
		return nil, nil, err
	}
	query := `query user($org: String!, $login: String!, $email: Boolean!) {
  user(login: $login) { ` + s.userFields() + ` organizations(first: 100) { nodes { login } } }
}`
	var answer struct {
		User *struct {
			User
			Organizations connection[struct{ Login string }]
		}
	}
	err = a.ask(ctx, org, "the user "+login, query, variables{"org": org, "login": login, "email": email}, &answer)
	if isMissing(err) || err == nil && answer.User == nil {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	answer.User.Organization = org
	var orgs []string
	for _, o := range answer.User.Organizations.Nodes {
		if o != nil {
			orgs = append(orgs, o.Login)
		}
	}
	found := []User{answer.User.User}
	if s.ExcludeSuspendedUsers && s.AskREST {
		err = a.checkSuspended(ctx, org, found)
	}
	return &found[0], orgs, err
}

// teams are the teams of an organization.
func (a *api) teams(ctx context.Context, org string, s *orgSettings) ([]Team, error) {
	what := "the teams of " + org
	return a.listTeams(ctx, org, what, teamsQuery, variables{"org": org, "first": s.PageSizes.Teams, "members": s.PageSizes.TeamMembers}, s)
}

// teamsOfUser are the teams of an organization that a user belongs to, without their members.
func (a *api) teamsOfUser(ctx context.Context, org, login string, s *orgSettings) ([]Team, error) {
	what := fmt.Sprintf("the teams of %s that %s belongs to", org, login)
	return a.listTeams(ctx, org, what, teamsOfUserQuery, variables{"org": org, "login": login, "first": s.PageSizes.Teams}, s)
}

func (a *api) listTeams(ctx context.Context, org, what, query string, v variables, s *orgSettings) ([]Team, error) {
	nodes, err := pages(ctx, what, func(ctx context.Context, cursor *string) (*connection[teamNode], error) {
		var answer struct {
			Organization *struct{ Teams *connection[teamNode] }
		}
		v["cursor"] = cursor
		if err := a.ask(ctx, org, what, query, v, &answer); err != nil || answer.Organization == nil {
			return nil, err
		}
		return answer.Organization.Teams, nil
	})
	if err != nil {
		return nil, err
	}
	all := make([]Team, len(nodes))
	for i, n := range nodes {
		if all[i], err = a.complete(ctx, org, n, s); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// team is a team, or nil if there is none.
func (a *api) team(ctx context.Context, org, slug string, s *orgSettings) (*Team, error) {
	var answer struct {
		Organization *struct{ Team *teamNode }
	}
	v := variables{"org": org, "slug": slug, "members": s.PageSizes.TeamMembers}
	err := a.ask(ctx, org, fmt.Sprintf("the team %s/%s", org, slug), teamQuery, v, &answer)
	if isMissing(err) || err == nil && (answer.Organization == nil || answer.Organization.Team == nil) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	t, err := a.complete(ctx, org, *answer.Organization.Team, s)
	return &t, err
}

// complete is the team of a node, with all members.
func (a *api) complete(ctx context.Context, org string, n teamNode, s *orgSettings) (Team, error) {
	t := n.team(org)
	if n.Members == nil || !n.Members.PageInfo.HasNextPage {
		return t, nil
	}
	what := fmt.Sprintf("the members of the team %s/%s", org, n.Slug)
	first := n.Members.PageInfo.EndCursor
	more, err := pages(ctx, what, func(ctx context.Context, cursor *string) (*connection[struct{ Login string }], error) {
		if cursor == nil {
			cursor = &first
		}
		var answer struct {
			Organization *struct{ Team *teamNode }
		}
		v := variables{"org": org, "slug": n.Slug, "members": s.PageSizes.TeamMembers, "cursor": cursor}
		if err := a.ask(ctx, org, what, membersQuery, v, &answer); err != nil || answer.Organization == nil || answer.Organization.Team == nil {
			return nil, err
		}
		return answer.Organization.Team.Members, nil
	})
	for _, m := range more {
		t.Members = append(t.Members, m.Login)
	}
	return t, err
}

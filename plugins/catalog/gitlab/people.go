package gitlab

import (
	"context"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/portico-dev/portico/service"
)

// User is a user, as GitLab describes it.
type User struct {
	ID       int64
	Username string
	Name     string
	// Email is the address, where the token may see it.
	Email     string
	State     string // such as "active" and "blocked"
	WebURL    string `json:"web_url"`
	AvatarURL string `json:"avatar_url"`
	// SAML tells, of members of a group with single sign-on, who the user is there.
	SAML *SAMLIdentity `json:"group_saml_identity"`
	// Groups are the groups that are brought and that the user is a member of.
	Groups []Group `json:"-"`

	UsesSeat bool `json:"is_using_seat"`
}

// SAMLIdentity is who a user is to an identity provider.
type SAMLIdentity struct {
	ExternUID string `json:"extern_uid"`
}

// Group is a group, as GitLab describes it.
type Group struct {
	ID          int64
	Name        string
	FullPath    string `json:"full_path"`
	Description string
	Visibility  string // "private", "internal" or "public"
	ParentID    int64  `json:"parent_id"`
}

func (a *api) group(ctx context.Context, id string) (Group, error) {
	var g Group
	err := a.one(ctx, "the group "+id, &g, "groups", id)
	return g, err
}

func (a *api) user(ctx context.Context, id int64) (User, error) {
	var u User
	err := a.one(ctx, fmt.Sprintf("the user %d", id), &u, "users", strconv.FormatInt(id, 10))
	return u, err
}

// isMember tells whether a user is a member of a group.
func (a *api) isMember(ctx context.Context, group string, user int64) (bool, error) {
	var u User
	err := a.one(ctx, fmt.Sprintf("the member %d of %s", user, group), &u, "groups", group, "members", "all", strconv.FormatInt(user, 10))
	if isMissing(err) {
		return false, nil
	}
	return err == nil, err
}

const descendantsQuery = `query descendantGroups($group: ID!, $cursor: String) {
  group(fullPath: $group) {
    descendantGroups(first: 100, after: $cursor) {
      nodes { id name description fullPath visibility parent { id } }
      pageInfo { endCursor hasNextPage }
    }
  }
}`

// groupNode is a group in GraphQL.
type groupNode struct {
	ID                                      globalID
	Name, Description, FullPath, Visibility string
	Parent                                  *struct{ ID globalID }
}

// globalID is the number in an id like gid://gitlab/Group/42.
type globalID int64

// UnmarshalText reads an id.
func (id *globalID) UnmarshalText(text []byte) error {
	n, err := strconv.ParseInt(string(text[strings.LastIndexByte(string(text), '/')+1:]), 10, 64)
	*id = globalID(n)
	return err
}

// groupAndBelow are a group and all groups below it.
func (a *api) groupAndBelow(ctx context.Context, path string) ([]Group, error) {
	what := "the groups below " + path
	nodes, ok, err := pages(ctx, what, func(ctx context.Context, cursor *string) (*connection[groupNode], error) {
		var answer struct {
			Group *struct{ DescendantGroups *connection[groupNode] }
		}
		if err := a.query(ctx, what, descendantsQuery, map[string]any{"group": path, "cursor": cursor}, &answer); err != nil || answer.Group == nil {
			return nil, err
		}
		return answer.Group.DescendantGroups, nil
	})
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, service.NotFoundError.Errorf("asking GitLab for %s: there is no such group, or none that the token may see", what)
	}
	all := make([]Group, len(nodes))
	for i, n := range nodes {
		all[i] = Group{ID: int64(n.ID), Name: n.Name, FullPath: n.FullPath, Description: n.Description, Visibility: n.Visibility}
		if n.Parent != nil {
			all[i].ParentID = int64(n.Parent.ID)
		}
	}
	top, err := a.group(ctx, path)
	return append(all, top), err
}

const membersQuery = `query groupMembers($group: ID!, $relations: [GroupMemberRelation!], $cursor: String) {
  group(fullPath: $group) {
    groupMembers(first: 100, relations: $relations, after: $cursor) {
      nodes { user { id username } }
      pageInfo { endCursor hasNextPage }
    }
  }
}`

// memberNode is a member in GraphQL.
type memberNode struct {
	User *struct {
		ID       globalID
		Username string
	}
}

// members are the members of a group. A group whose members the token may not see has none.
func (a *api) members(ctx context.Context, g Group, relations []string) ([]memberNode, error) {
	what := "the members of " + g.FullPath
	all, ok, err := pages(ctx, what, func(ctx context.Context, cursor *string) (*connection[memberNode], error) {
		var answer struct {
			Group *struct{ GroupMembers *connection[memberNode] }
		}
		v := map[string]any{"group": g.FullPath, "relations": relations, "cursor": cursor}
		if err := a.query(ctx, what, membersQuery, v, &answer); err != nil || answer.Group == nil {
			return nil, err
		}
		return answer.Group.GroupMembers, nil
	})
	if err == nil && !ok {
		a.log.WarnContext(ctx, "The token may not see the members of a group", "group", g.FullPath)
	}
	return slices.DeleteFunc(all, func(m memberNode) bool { return m.User == nil }), err
}

// bot matches the names of the users that tokens of projects and groups have.
var bot = regexp.MustCompile(`^(?:project|group)_\w+_bot_\w+$`)

// groupsAndUsers are all groups and users from which those to bring are chosen. Users may be there more than once.
func (a *api) groupsAndUsers(ctx context.Context, s *settings) (groups []Group, users []User, err error) {
	if a.selfManaged() && !s.RestrictUsersToGroup {
		groups, err = list[Group](ctx, a, "all groups", url.Values{"all_available": {"true"}, "order_by": {"id"}}, "groups")
		if err != nil {
			return nil, nil, err
		}
		users, err = list[User](ctx, a, "all users", url.Values{"active": {"true"}, "without_project_bots": {"true"}, "exclude_internal": {"true"}}, "users")
		return groups, users, err
	}
	if groups, err = a.groupAndBelow(ctx, s.Group); err != nil {
		return nil, nil, err
	}
	from := []string{s.Group}
	if !s.RestrictUsersToGroup {
		top, _, _ := strings.Cut(s.Group, "/")
		from = []string{top}
		for _, g := range groups[:len(groups)-1] {
			from = append(from, strconv.FormatInt(g.ID, 10))
		}
	}
	for _, group := range from {
		query := url.Values{}
		if !a.selfManaged() {
			query.Set("active", "true")
			query.Set("show_seat_info", "true")
		}
		found, err := list[User](ctx, a, "the members of the group "+group, query, "groups", group, "members", "all")
		if err != nil {
			return nil, nil, err
		}
		for _, u := range found {
			if a.selfManaged() || u.UsesSeat || s.IncludeUsersWithoutSeat && !bot.MatchString(u.Username) {
				users = append(users, u)
			}
		}
	}
	return groups, users, nil
}

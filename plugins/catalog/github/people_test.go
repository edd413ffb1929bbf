package github_test

import (
	"slices"
	"strings"
)

// member is a user on the server of tests, and team a team.
func member(login string, more object) object {
	u := object{"login": login, "id": "U_" + login, "name": nil, "bio": nil, "avatarUrl": "https://avatars.example.com/" + login, "email": nil,
		"organizationVerifiedDomainEmails": []string{}}
	for k, v := range more {
		u[k] = v
	}
	return u
}

func team(org, slug, name, parent string, members ...string) object {
	t := object{"slug": slug, "name": name, "description": nil, "avatarUrl": "https://avatars.example.com/t/" + slug,
		"editTeamUrl": "https://github.com/orgs/" + org + "/teams/" + slug + "/edit", "parentTeam": nil, "members": members}
	if parent != "" {
		t["parentTeam"] = object{"slug": parent}
	}
	return t
}

// teamNode is a team in an answer, with the page of its members that the variables ask for.
func teamNode(t, v object) object {
	node := object{}
	for k, value := range t {
		node[k] = value
	}
	var nodes []object
	for _, login := range t["members"].([]string) {
		nodes = append(nodes, object{"login": login})
	}
	delete(node, "members")
	if v["members"] != nil {
		node["members"] = page(nodes, v, "members")
	}
	return node
}

func (s *gitHub) people(name, query string, v object) any {
	org, _ := v["org"].(string)
	members, known := s.users[org]
	if !known {
		return object{"organization": nil}
	}
	shown := func(u object) object { // only what was asked for
		node := object{}
		for k, value := range u {
			if strings.Contains(query, k) && (k != "email" || v["email"] == true) {
				node[k] = value
			}
		}
		return node
	}
	inOrg := func(what string, value any) object { return object{"organization": object{what: value}} }
	var nodes []object
	switch name {
	case "users":
		for _, u := range members {
			nodes = append(nodes, shown(u))
		}
		return inOrg("membersWithRole", page(nodes, v, "first"))
	case "user":
		user := object(nil)
		for in, all := range s.users {
			for _, u := range all {
				if u["login"] == v["login"] {
					if user == nil {
						user = shown(u)
					}
					nodes = append(nodes, object{"login": in})
				}
			}
		}
		if user == nil {
			return object{"user": nil}
		}
		user["organizations"] = object{"nodes": nodes}
		return object{"user": user}
	case "teams", "teamsOfUser":
		first := v
		if v["cursor"] != nil { // the cursor is that of the teams
			first = object{"members": v["members"]}
		}
		for _, t := range s.teams[org] {
			if name == "teams" || slices.Contains(t["members"].([]string), v["login"].(string)) {
				nodes = append(nodes, teamNode(t, first))
			}
		}
		return inOrg("teams", page(nodes, v, "first"))
	case "team", "members":
		for _, t := range s.teams[org] {
			if t["slug"] == v["slug"] {
				return inOrg("team", teamNode(t, v))
			}
		}
		return inOrg("team", nil)
	}
	s.t.Errorf("unknown query %s", name)
	return nil
}

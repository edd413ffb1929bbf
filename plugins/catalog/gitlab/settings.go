package gitlab

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/portico-dev/portico/plugins/catalog/internal/forge"
	"github.com/portico-dev/portico/service"
)

const settingsKey = "catalog.providers.gitlab"

// settings are what the configuration says of a provider.
type settings struct {
	id string

	Host     string           `schema:"required" doc:"The host of the GitLab server."`
	Schedule service.Schedule `doc:"When GitLab is read: frequency, timeout, initialDelay, scope."`
	Group    string           `doc:"The group, with its subgroups, that is read. Default: the whole server."`

	// Of discovery.
	GroupPattern         patterns      `doc:"Regular expressions of JavaScript for the full paths of groups: one, or a list."`
	ProjectPattern       forge.Pattern `doc:"A regular expression of JavaScript for the full paths of projects."`
	Branch               string        `doc:"The branch to read. Default: the default branch of the project."`
	FallbackBranch       string        `doc:"The branch to read where a project has no default branch. Default: master."`
	EntityFilename       string        `schema:"min=1" doc:"The file to read in each project. Default: catalog-info.yaml."`
	SkipForkedRepos      bool          `doc:"Leave out forks."`
	IncludeArchivedRepos bool          `doc:"Read archived projects too."`
	ExcludeRepos         []string      `doc:"Full paths of projects that are not read."`
	Membership           bool          `doc:"Read only projects that the user of the token is a member of."`
	Topics               forge.Texts   `doc:"Read only projects with all of these topics."`
	UseSearch            bool          `doc:"Find files by GitLab's search, wherever in a project they are. Needs a group."`

	// Of users and groups.
	OrgEnabled              bool          `doc:"Bring users and groups, too. Default: false."`
	UserPattern             forge.Pattern `doc:"A regular expression of JavaScript for the addresses or else the names of users."`
	Relations               []string      `schema:"enum=DIRECT|INHERITED|DESCENDANTS|SHARED_FROM_GROUPS" doc:"Which members groups have, beside direct ones."`
	AllowInherited          bool          `doc:"Groups have the members of those above them, too. Without effect if there are relations."`
	RestrictUsersToGroup    bool          `doc:"Bring only users that are members of the group."`
	IncludeUsersWithoutSeat bool          `doc:"Bring users of gitlab.com that don't need a license, too."`
}

// declared are the settings as they stand in the configuration.
type declared settings

// patterns are regular expressions, one of which has to match. Without any, everything matches.
type patterns []forge.Pattern

// everything is how Backstage's documentation writes a pattern that matches everything, as there were none.
const everything = `[\s\S]*`

// UnmarshalConfig compiles one or several.
func (p *patterns) UnmarshalConfig(decode func(dst any) error) error {
	var texts forge.Texts
	if err := texts.UnmarshalConfig(decode); err != nil {
		return err
	}
	if len(texts) == 1 && texts[0] == everything {
		return nil
	}
	*p = make(patterns, len(texts))
	for i, text := range texts {
		if err := (*p)[i].UnmarshalText([]byte(text)); err != nil {
			return fmt.Errorf("%q %w", text, err)
		}
	}
	return nil
}

func (p patterns) match(s string) bool {
	return len(p) == 0 || slices.ContainsFunc(p, func(one forge.Pattern) bool { return one.Match(s) })
}

// UnmarshalConfig sets what isn't configured to its default and checks the whole.
func (s *settings) UnmarshalConfig(decode func(dst any) error) error {
	p := declared{FallbackBranch: "master", EntityFilename: "catalog-info.yaml"}
	if err := decode(&p); err != nil {
		return err
	}
	*s = settings(p)
	s.Group = strings.Trim(s.Group, "/")
	s.EntityFilename = strings.TrimPrefix(s.EntityFilename, "/")
	switch {
	case s.UseSearch && s.Group == "":
		return errors.New("needs a group where useSearch is true: GitLab searches in groups")
	case s.RestrictUsersToGroup && s.Group == "":
		return errors.New("needs a group where restrictUsersToGroup is true")
	}
	return nil
}

// readSettings reads the configuration.
func readSettings(cfg service.Config) ([]settings, error) {
	byID := map[string]settings{}
	if err := cfg.Decode(settingsKey, &byID); err != nil {
		return nil, err
	}
	var all []settings
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		s := byID[id]
		s.id = id
		all = append(all, s)
	}
	return all, nil
}

// contains tells whether a group or project is in the configured group.
func (s *settings) contains(path string) bool {
	return s.Group == "" || strings.HasPrefix(path, s.Group+"/")
}

// brings tells whether a group is one of those that are brought.
func (s *settings) brings(path string) bool {
	return s.GroupPattern.match(path) && (s.contains(path) || path == s.Group)
}

// memberRelations are the relations by which users are members of groups.
func (s *settings) memberRelations() []string {
	relations := []string{"DIRECT"}
	if len(s.Relations) == 0 && s.AllowInherited {
		relations = append(relations, "INHERITED")
	}
	for _, r := range s.Relations {
		if !slices.Contains(relations, r) {
			relations = append(relations, r)
		}
	}
	return relations
}

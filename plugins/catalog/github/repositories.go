package github

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// repository is a repository as the API describes it, and as events do.
type repository struct {
	Name       string
	URL        string
	IsArchived bool
	IsFork     bool
	Visibility string
	// Branch is the default branch; a repository without commits has none.
	Branch string
	Topics []string
	// HasFile tells whether the catalog's file is there, where that was asked for.
	HasFile bool
}

// repositoryNode is a repository in answers.
type repositoryNode struct {
	Name, URL, Visibility string
	IsArchived, IsFork    bool
	DefaultBranchRef      *struct{ Name string }
	RepositoryTopics      struct {
		Nodes []struct{ Topic struct{ Name string } }
	}
	CatalogInfoFile *struct {
		Typename string `json:"__typename"`
		ByteSize int64
	}
}

const repositoryFields = `
  name url isArchived isFork visibility
  defaultBranchRef { name }
  repositoryTopics(first: 100) { nodes { topic { name } } }
  catalogInfoFile: object(expression: $file) @include(if: $validate) { __typename ... on Blob { byteSize } }`

// The order by names is one that doesn't change between pages.
const repositoriesQuery = `query repositories($owner: String!, $file: String!, $validate: Boolean!, $first: Int!, $cursor: String) {
  repositoryOwner(login: $owner) {
    repositories(first: $first, after: $cursor, orderBy: {field: NAME, direction: ASC}) {
      nodes {` + repositoryFields + `}
      pageInfo { hasNextPage endCursor }
    }
  }
}`

const repositoryQuery = `query repository($owner: String!, $name: String!, $file: String!, $validate: Boolean!) {
  repositoryOwner(login: $owner) { repository(name: $name) {` + repositoryFields + `} }
}`

func (n repositoryNode) repository() repository {
	r := repository{Name: n.Name, URL: n.URL, IsArchived: n.IsArchived, IsFork: n.IsFork, Visibility: n.Visibility}
	if n.DefaultBranchRef != nil {
		r.Branch = n.DefaultBranchRef.Name
	}
	for _, topic := range n.RepositoryTopics.Nodes {
		r.Topics = append(r.Topics, topic.Topic.Name)
	}
	r.HasFile = n.CatalogInfoFile != nil && n.CatalogInfoFile.Typename == "Blob" && n.CatalogInfoFile.ByteSize > 0
	return r
}

// fileVariables say which file is looked for.
func (s *discoverySettings) fileVariables(v variables) variables {
	branch := s.Filters.Branch
	if branch == "" {
		branch = "HEAD"
	}
	v["file"], v["validate"] = branch+":"+string(s.CatalogPath), s.ValidateLocationsExist
	return v
}

// repositories are all repositories of an organization.
func (a *api) repositories(ctx context.Context, owner string, s *discoverySettings) ([]repository, error) {
	what := "the repositories of " + owner
	nodes, err := pages(ctx, what, func(ctx context.Context, cursor *string) (*connection[repositoryNode], error) {
		var answer struct {
			RepositoryOwner *struct{ Repositories *connection[repositoryNode] }
		}
		v := s.fileVariables(variables{"owner": owner, "first": s.PageSizes.Repositories, "cursor": cursor})
		if err := a.ask(ctx, owner, what, repositoriesQuery, v, &answer); err != nil || answer.RepositoryOwner == nil {
			return nil, err
		}
		return answer.RepositoryOwner.Repositories, nil
	})
	all := make([]repository, len(nodes))
	for i, n := range nodes {
		all[i] = n.repository()
	}
	return all, err
}

// hasFile tells whether the catalog's file is in a repository.
func (a *api) hasFile(ctx context.Context, owner, name string, s *discoverySettings) (bool, error) {
	var answer struct {
		RepositoryOwner *struct{ Repository *repositoryNode }
	}
	v := s.fileVariables(variables{"owner": owner, "name": name})
	if err := a.ask(ctx, owner, fmt.Sprintf("the repository %s/%s", owner, name), repositoryQuery, v, &answer); err != nil {
		return false, err
	}
	found := answer.RepositoryOwner
	return found != nil && found.Repository != nil && found.Repository.repository().HasFile, nil
}

// chooses tells whether the filters choose a repository.
func (f *filters) chooses(r repository) bool {
	has := func(topics []string) bool {
		return slices.ContainsFunc(r.Topics, func(topic string) bool { return slices.Contains(topics, topic) })
	}
	return r.Branch != "" &&
		(f.AllowArchived || !r.IsArchived) &&
		(f.AllowForks || !r.IsFork) &&
		f.Repository.Match(r.Name) &&
		(len(f.Topic.Include) == 0 || has(f.Topic.Include)) && !has(f.Topic.Exclude) &&
		(len(f.Visibility) == 0 || slices.ContainsFunc(f.Visibility, func(v string) bool { return strings.EqualFold(v, r.Visibility) }))
}

// branch is the branch of a repository that is read.
func (s *discoverySettings) branch(r repository) string {
	if s.Filters.Branch != "" {
		return s.Filters.Branch
	}
	return r.Branch
}

// target is the URL of a file in a repository. A slash in the name of the branch is written %2F, so that it's clear where the path begins.
func target(r repository, view, branch, file string) string {
	return fmt.Sprintf("%s/%s/%s/%s", r.URL, view, url.PathEscape(branch), file)
}

package github

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/portico-dev/portico/plugins/catalog/internal/forge"
	"github.com/portico-dev/portico/service"
)

const (
	discoveryKey   = "catalog.providers.github"
	defaultHost    = "github.com"
	defaultPath    = "catalog-info.yaml"
	defaultPerPage = 25
)

// discoverySettings are what the configuration says of a discovery.
type discoverySettings struct {
	key, id string

	Host                   string
	Organization           string
	App                    int64
	CatalogPath            forge.Path
	ValidateLocationsExist bool
	Filters                filters
	Schedule               *service.Schedule // never nil
	PageSizes              struct {
		Repositories int `schema:"min=1,max=100"`
	}
}

// filters choose repositories.
type filters struct {
	Repository wholePattern
	Branch     string
	AllowForks bool
	Topic      struct {
		Include, Exclude []string
	}
	Visibility    []string
	AllowArchived bool
}

// wholePattern is a pattern that matches a name as a whole.
type wholePattern struct{ forge.Pattern }

// UnmarshalText compiles the pattern.
func (p *wholePattern) UnmarshalText(text []byte) error {
	anchored := string(text)
	if !strings.HasPrefix(anchored, "^") {
		anchored = "^" + anchored
	}
	if !strings.HasSuffix(anchored, "$") {
		anchored += "$"
	}
	return p.Pattern.UnmarshalText([]byte(anchored))
}

// UnmarshalConfig sets what isn't configured to its default and checks the whole.
func (s *discoverySettings) UnmarshalConfig(decode func(dst any) error) error {
	type plain discoverySettings
	p := plain{Host: defaultHost, CatalogPath: defaultPath}
	p.Filters.AllowForks = true
	p.PageSizes.Repositories = defaultPerPage
	p.Schedule = &service.Schedule{Frequency: service.Frequency{Every: 3 * time.Hour}, Timeout: time.Hour}
	if err := decode(&p); err != nil {
		return err
	}
	*s = discoverySettings(p)
	switch {
	case s.Organization == "" && s.App == 0:
		return errors.New("needs an organization, or the id of a GitHub App as app")
	case s.ValidateLocationsExist && s.CatalogPath.IsGlob():
		return errors.New("can't have validateLocationsExist with a glob as catalogPath: whether such a file exists is known only when the repository is read")
	case strings.Contains(s.Filters.Branch, "/"):
		return errors.New("can't have a slash in filters.branch")
	}
	return nil
}

// readDiscoveries reads the configuration: one discovery, or several by their ids.
func readDiscoveries(cfg service.Config) ([]discoverySettings, error) {
	if cfg.Has(discoveryKey+".organization") || cfg.Has(discoveryKey+".app") {
		var s discoverySettings
		err := cfg.Decode(discoveryKey, &s)
		s.key, s.id = discoveryKey, "default"
		return []discoverySettings{s}, err
	}
	byID := map[string]discoverySettings{}
	if err := cfg.Decode(discoveryKey, &byID); err != nil {
		return nil, err
	}
	var all []discoverySettings
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		s := byID[id]
		s.key, s.id = discoveryKey+"."+id, id
		all = append(all, s)
	}
	return all, nil
}

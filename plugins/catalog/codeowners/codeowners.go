// Package codeowners is a module of the catalog that gives an owner to entities that have none: that of their file by the CODEOWNERS of the
// repository, as Backstage's CodeOwnersProcessor does.
//
// Components, APIs, Resources, Systems and Domains at URLs of GitHub, GitLab and Bitbucket are looked at. The last rule that matches the
// file counts, and of its owners the first: @acme/team becomes the Group team, @user the User of that name, and an address the Group of
// its local part. Lines that aren't understood are skipped, as forges do.
//
// A CODEOWNERS file is read for all entities of its repository at once, and again after a minute at the earliest. A push that changes it
// is followed at once, where a module for the forge tells the catalog about pushes.
package codeowners

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	rules "github.com/hmarr/codeowners"
	"github.com/jonboulle/clockwork"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/plugins/catalog/processor"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/integration"
)

// Module adds the processor to the catalog.
func Module() plugin.Module {
	return plugin.NewModule("catalog", "codeowners", plugin.Init(start))
}

func start(processing catalog.Processing, urls service.URLReader, in *integration.Integrations, clock clockwork.Clock) error {
	files, err := lru.New[string, file](maxFiles)
	processing.AddProcessor(&owners{urls: urls, integrations: in, clock: clock, files: files})
	return err
}

const (
	// maxFiles is how many files are remembered.
	maxFiles = 5000
	// maxAge is how long a file is used before it is looked at again.
	maxAge = time.Minute
)

// owners is the processor.
type owners struct {
	urls         service.URLReader
	integrations *integration.Integrations
	clock        clockwork.Clock
	files        *lru.Cache[string, file]
}

// file is what was read at a URL.
type file struct {
	exists bool
	rules  rules.Ruleset
	etag   string
	at     time.Time
}

// Name implements processor.Processor. It is Backstage's.
func (*owners) Name() string { return "CodeOwnersProcessor" }

// kinds are those that have an owner.
var kinds = []string{"API", "Component", "Domain", "Resource", "System"}

// places are where forges look for the file, by their types, in their order.
func places(forge string) []string {
	switch forge {
	case "github":
		return []string{".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS"}
	case "gitlab":
		return []string{"CODEOWNERS", "docs/CODEOWNERS", ".gitlab/CODEOWNERS"}
	case "bitbucketCloud", "bitbucketServer":
		return []string{"CODEOWNERS", ".bitbucket/CODEOWNERS"}
	}
	return nil
}

// PreProcess implements processor.PreProcessor.
func (o *owners) PreProcess(ctx context.Context, e catalogmodel.Entity, from processor.Source, out *processor.Output) (catalogmodel.Entity, error) {
	if from.Location.Type != "url" || !slices.Contains(kinds, e.Kind()) || e.Get("spec", "owner").Exists() {
		return e, nil
	}
	forge, ok := o.integrations.ByURL(from.Location.Target)
	if !ok {
		return e, nil
	}
	at, err := forge.Parse(from.Location.Target)
	if err != nil {
		return e, err
	}
	for _, place := range places(forge.Type()) {
		target, err := forge.ResolveURL("/"+place, from.Location.Target, 0)
		if err != nil {
			return e, err
		}
		out.RefreshKeys = append(out.RefreshKeys, catalogmodel.LocationRef{Type: "url", Target: target}.String())
		f, err := o.read(ctx, target)
		if err != nil {
			return e, fmt.Errorf("the owner of %s can't be looked up: %w", e.Ref(), err)
		}
		if !f.exists {
			continue
		}
		owner, err := f.owner(at.Path)
		if err != nil || owner == "" {
			return e, err
		}
		return e.With(catalogmodel.StringValue(owner), "spec", "owner"), nil
	}
	return e, nil
}

// read reads a file, unless it was read a moment ago.
func (o *owners) read(ctx context.Context, target string) (file, error) {
	known, ok := o.files.Get(target)
	if ok && o.clock.Since(known.at) < maxAge {
		return known, nil
	}
	f := file{at: o.clock.Now()}
	found, err := o.urls.ReadURL(ctx, target, service.URLReadOptions{ETag: known.etag})
	var content []byte
	if err == nil {
		f.exists, f.etag = true, found.ETag
		content, err = found.Bytes()
	}
	switch {
	case errors.Is(err, service.NotModifiedError):
		known.at = f.at
		f = known
	case err != nil && !errors.Is(err, service.NotFoundError):
		return file{}, err
	default:
		f.rules = parse(string(content))
	}
	o.files.Add(target, f)
	return f, nil
}

// parse reads the lines that are understood.
func parse(content string) rules.Ruleset {
	anyone := rules.WithOwnerMatchers([]rules.OwnerMatcher{rules.OwnerMatchFunc(func(s string) (rules.Owner, error) {
		return rules.Owner{Value: s}, nil
	})})
	var all rules.Ruleset
	for line := range strings.Lines(content) {
		if parsed, err := rules.ParseFile(strings.NewReader(line), anyone); err == nil {
			all = append(all, parsed...)
		}
	}
	return all
}

// owner is the reference to the owner of a file in the repository, or empty.
func (f file) owner(path string) (string, error) {
	rule, err := f.rules.Match(path)
	if err != nil || rule == nil || len(rule.Owners) == 0 {
		return "", err
	}
	owner := rule.Owners[0].Value
	name, isUser := strings.CutPrefix(owner, "@")
	_, team, isTeam := strings.Cut(name, "/")
	local, _, isAddress := strings.Cut(owner, "@")
	switch {
	case isUser && isTeam:
		team, _, _ = strings.Cut(team, "/")
		return team, nil
	case isUser:
		return "User:" + name, nil
	case isAddress:
		return local, nil
	}
	return owner, nil
}

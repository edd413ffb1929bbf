package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/extension"
	"github.com/portico-dev/portico/plugins/catalog/catalogclient"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/integration"
)

// Analysis lets modules take part in what the catalog makes of a repository before it is registered: POST /analyze-location, which frontends ask
// when somebody imports one.
type Analysis interface {
	// AddSCMLocationAnalyzer adds an analyzer that finds the catalog's files in the repositories of some forge. Of several for one URL, the first is
	// asked.
	AddSCMLocationAnalyzer(SCMLocationAnalyzer)
	// SetLocationAnalyzer has everything answered by an analyzer instead of the catalog's own, which asks the [SCMLocationAnalyzer]s and
	// proposes a Component where they find nothing. Two modules can't do this.
	SetLocationAnalyzer(LocationAnalyzer)
}

// AnalysisPoint is the extension point for [Analysis].
var AnalysisPoint = extension.NewPoint[Analysis]("catalog.analysis")

// SCMLocationAnalyzer finds the files of repositories that describe entities. It is safe for concurrent use.
type SCMLocationAnalyzer interface {
	// Supports tells whether it knows the repository at a URL.
	Supports(url string) bool
	// Analyze answers the URLs of the files with the given name in the repository, of which there may be none. The catalog reads them as it
	// does when they are registered.
	Analyze(ctx context.Context, url, filename string) (files []string, err error)
}

// LocationAnalyzer tells what there is at a location, and what could be. It is safe for concurrent use.
type LocationAnalyzer interface {
	// AnalyzeLocation answers the entities that files at the location describe, or else proposes some. The name is that of such files. An
	// InputError is for the user.
	AnalyzeLocation(ctx context.Context, at catalogmodel.LocationRef, filename string) (catalogclient.Analysis, error)
}

// analysis is what modules have added.
type analysis struct {
	scm      []SCMLocationAnalyzer
	whole    LocationAnalyzer
	mistakes []error
}

func newAnalysis() *analysis { return &analysis{} }

func (a *analysis) AddSCMLocationAnalyzer(one SCMLocationAnalyzer) { a.scm = append(a.scm, one) }

func (a *analysis) SetLocationAnalyzer(one LocationAnalyzer) {
	if a.whole != nil {
		a.mistakes = append(a.mistakes, errors.New("catalog: two modules set the location analyzer"))
	}
	a.whole = one
}

// analyzer is the one that answers.
func (d deps) analyzer(explore explorer) LocationAnalyzer {
	if d.Analysis.whole != nil {
		return d.Analysis.whole
	}
	return &repositoryAnalyzer{scm: d.Analysis.scm, integrations: d.Integrations, explore: explore, log: d.Log}
}

// explorer tells whether a location is registered, and which entities it leads to.
type explorer func(ctx context.Context, at catalogmodel.LocationRef) (registered bool, entities []json.RawMessage, err error)

// repositoryAnalyzer is the catalog's own [LocationAnalyzer].
type repositoryAnalyzer struct {
	scm          []SCMLocationAnalyzer
	integrations *integration.Integrations
	explore      explorer
	log          *slog.Logger
}

// AnalyzeLocation implements [LocationAnalyzer].
func (r *repositoryAnalyzer) AnalyzeLocation(ctx context.Context, at catalogmodel.LocationRef, filename string) (found catalogclient.Analysis, err error) {
	for _, scm := range r.scm {
		if !scm.Supports(at.Target) {
			continue
		}
		files, err := scm.Analyze(ctx, at.Target, filename)
		if err != nil {
			return found, fmt.Errorf("catalog: analyzing %s: %w", at.Target, err)
		}
		for _, file := range files {
			existing, err := r.read(ctx, catalogmodel.LocationRef{Type: "url", Target: file})
			if err != nil {
				return found, err
			}
			found.Existing = append(found.Existing, existing...)
		}
		break
	}
	if len(found.Existing) > 0 {
		r.log.DebugContext(ctx, "The analyzed repository describes entities", "location", at.String(), "entities", len(found.Existing))
		return found, nil
	}
	proposed, err := r.propose(at.Target)
	found.Generated = []catalogclient.GeneratedEntity{{Entity: proposed}}
	return found, err
}

func (r *repositoryAnalyzer) read(ctx context.Context, at catalogmodel.LocationRef) ([]catalogclient.ExistingFile, error) {
	registered, entities, err := r.explore(ctx, at)
	if err != nil {
		return nil, err
	}
	existing := make([]catalogclient.ExistingFile, len(entities))
	for i, text := range entities {
		e, err := catalogmodel.ParseJSON(text)
		if err != nil {
			return nil, err
		}
		existing[i] = catalogclient.ExistingFile{Location: catalogmodel.LocationSpec{Type: at.Type, Target: at.Target}, IsRegistered: registered, Entity: e}
	}
	return existing, nil
}

// propose makes a Component of a repository.
func (r *repositoryAnalyzer) propose(target string) (e catalogmodel.Entity, err error) {
	u, err := url.Parse(target)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return e, service.InputError.Errorf("The given location.target is not a URL")
	}
	owner, name := repositoryOf(u)
	metadata := map[string]any{"name": name}
	if prefix := r.slugPrefix(target); prefix != "" {
		metadata["annotations"] = map[string]any{prefix + "/project-slug": owner + "/" + name}
	}
	return catalogmodel.EntityOf(map[string]any{
		"apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": metadata,
		"spec": map[string]any{"type": "other", "lifecycle": "unknown"},
	})
}

// repositoryOf guesses the repository that a URL leads into, and whose it is: /owner/name, perhaps with a view of a file behind it.
func repositoryOf(target *url.URL) (owner, name string) {
	parts := strings.Split(strings.TrimSuffix(strings.Trim(target.Path, "/"), ".git"), "/")
	if i := slices.Index(parts, "_git"); i > 0 && i+1 < len(parts) { // Azure DevOps
		return parts[i-1], parts[i+1]
	}
	last := len(parts) - 1
	for i, part := range parts {
		if i >= 2 && slices.Contains([]string{"-", "blob", "commit", "edit", "raw", "src", "tree"}, part) {
			last = i - 1
			break
		}
	}
	return strings.Join(parts[:last], "/"), parts[last]
}

// slugPrefix is the first part of the annotation for repositories of the forge that the URL belongs to, or empty.
func (r *repositoryAnalyzer) slugPrefix(target string) string {
	forge, ok := r.integrations.ByURL(target)
	if !ok {
		return ""
	}
	switch forge.Type() {
	case "azure":
		return "dev.azure.com"
	case "github":
		return "github.com"
	case "gitlab":
		return "gitlab.com"
	}
	return ""
}

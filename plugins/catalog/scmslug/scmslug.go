// Package scmslug is a module of the catalog that annotates entities with the repository that they were read from, as Backstage's
// AnnotateScmSlugEntityProcessor does: github.com/project-slug, gitlab.com/project-slug and dev.azure.com/project-repo. Other plugins
// find the repository of a Component by them. What an entity says itself stays.
package scmslug

import (
	"context"
	"slices"
	"strings"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/plugins/catalog/processor"
	"github.com/portico-dev/portico/service/integration"
)

// Module adds the processor to the catalog. It annotates entities of these kinds; without any, Components.
func Module(kinds ...string) plugin.Module {
	if len(kinds) == 0 {
		kinds = []string{"Component"}
	}
	return plugin.NewModule("catalog", "scm-slug", plugin.Init(func(processing catalog.Processing, in *integration.Integrations) {
		processing.AddProcessor(&slugs{kinds: slices.Clone(kinds), integrations: in})
	}))
}

type slugs struct {
	kinds        []string
	integrations *integration.Integrations
}

// Name implements processor.Processor. It is Backstage's.
func (*slugs) Name() string { return "AnnotateScmSlugEntityProcessor" }

// PreProcess implements processor.PreProcessor.
func (s *slugs) PreProcess(_ context.Context, e catalogmodel.Entity, from processor.Source, _ *processor.Output) (catalogmodel.Entity, error) {
	if from.Location.Type != "url" || !slices.ContainsFunc(s.kinds, func(k string) bool { return strings.EqualFold(k, e.Kind()) }) {
		return e, nil
	}
	forge, ok := s.integrations.ByURL(from.Location.Target)
	if !ok {
		return e, nil
	}
	at, err := forge.Parse(from.Location.Target)
	if err != nil {
		return e, err
	}
	var annotation, slug string
	switch forge.Type() {
	case "github":
		annotation, slug = catalogmodel.AnnotationGitHubProjectSlug, at.FullName()
	case "gitlab":
		annotation, slug = catalogmodel.AnnotationGitLabProjectSlug, at.FullName()
	case "azure":
		annotation, slug = "dev.azure.com/project-repo", at.Project+"/"+at.Repo
	default:
		return e, nil
	}
	if e.Annotation(annotation) != "" {
		return e, nil
	}
	return e.WithAnnotation(annotation, slug), nil
}

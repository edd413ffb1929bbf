package openapi

import (
	"context"
	"fmt"
	"net/url"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/plugins/catalog/processor"
)

// Module adds the placeholders $openapi and $asyncapi.
func Module() plugin.Module {
	return plugin.NewModule("catalog", "json-schema-ref-placeholder-resolver", plugin.Init(func(processing catalog.Processing) {
		processing.AddPlaceholderResolver("openapi", resolve)
		processing.AddPlaceholderResolver("asyncapi", resolve)
	}))
}

// resolve answers the bundled file as text.
func resolve(ctx context.Context, p processor.Placeholder) (catalogmodel.Value, error) {
	fail := func(format string, args ...any) (catalogmodel.Value, error) {
		return catalogmodel.Value{}, fmt.Errorf("Placeholder $%s "+format, append([]any{p.Key}, args...)...) //nolint:revive,staticcheck // as Backstage says it
	}
	target := p.Value.Text()
	if p.Value.Type() != catalogmodel.String || target == "" {
		return fail("expected a string value parameter, in the form of an absolute URL or a relative path")
	}
	name, err := p.Resolve(target, p.Base.Target)
	if err != nil {
		return fail("could not form a URL out of %s and %s, %w", p.Base.Target, target, err)
	}
	content, err := p.Read(ctx, name)
	if err != nil {
		return fail("could not read location %s, %w", target, err)
	}
	others := files{p.Resolve, p.Read}
	if p.Base.Type == "file" {
		others.resolve = func(target, base string) (string, error) {
			path, err := url.PathUnescape(target) // a $ref is a URL even there
			if err != nil {
				return "", err
			}
			return p.Resolve(path, base)
		}
	}
	bundled, err := bundle(ctx, name, content, others)
	if err != nil {
		return fail("unable to bundle the file at %s, %w", target, err)
	}
	return catalogmodel.StringValue(bundled), nil
}

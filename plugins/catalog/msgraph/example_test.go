package msgraph_test

import (
	"context"
	"fmt"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/catalog/msgraph"
)

// withOffice leaves guests out, and notes where the others work. The configuration asks for the fields: user.select: [id, displayName, mail,
// userType, officeLocation].
func withOffice(_ context.Context, user msgraph.Object, standard func() catalogmodel.Entity) (catalogmodel.Entity, error) {
	if user.Text("userType") == "Guest" {
		return catalogmodel.Entity{}, nil
	}
	e := standard()
	if office := user.Text("officeLocation"); office != "" && !e.IsZero() {
		e = e.WithAnnotation("acme.com/office", office)
	}
	return e, nil
}

// departments makes departments of the groups, instead of teams.
func departments(_ context.Context, _ msgraph.Object, standard func() catalogmodel.Entity) (catalogmodel.Entity, error) {
	e := standard()
	if e.IsZero() {
		return e, nil
	}
	return e.With(catalogmodel.StringValue("department"), "spec", "type"), nil
}

// A module changes what becomes of users and groups.
func ExampleTransforms() {
	module := plugin.NewModule("catalog", "acme-people", plugin.Init(func(transforms msgraph.Transforms) error {
		if err := transforms.SetUserTransformer(withOffice); err != nil {
			return err
		}
		return transforms.SetGroupTransformer(departments)
	}))
	fmt.Println(module)
	// Output: module catalog/acme-people
}

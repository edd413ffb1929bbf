package ldap_test

import (
	"context"
	"fmt"

	ldapclient "github.com/go-ldap/ldap/v3"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/catalog/ldap"
)

// withOffice leaves robots out, and notes where people work.
func withOffice(_ context.Context, entry *ldapclient.Entry, standard func() (catalogmodel.Entity, error)) (catalogmodel.Entity, error) {
	if entry.GetAttributeValue("employeeType") == "robot" {
		return catalogmodel.Entity{}, nil
	}
	e, err := standard()
	if err != nil {
		return e, err
	}
	return e.WithAnnotation("acme.com/office", entry.GetAttributeValue("physicalDeliveryOfficeName")), nil
}

// departments makes departments of all groups, whatever the directory calls them.
func departments(_ context.Context, _ *ldapclient.Entry, standard func() (catalogmodel.Entity, error)) (catalogmodel.Entity, error) {
	e, err := standard()
	if err != nil {
		return e, err
	}
	return e.With(catalogmodel.StringValue("department"), "spec", "type"), nil
}

// A module changes what becomes of users and groups.
func ExampleTransforms() {
	module := plugin.NewModule("catalog", "acme-people", plugin.Init(func(transforms ldap.Transforms) error {
		if err := transforms.SetUserTransformer(withOffice); err != nil {
			return err
		}
		return transforms.SetGroupTransformer(departments)
	}))
	fmt.Println(module)
	// Output: module catalog/acme-people
}

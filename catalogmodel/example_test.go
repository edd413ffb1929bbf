package catalogmodel_test

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/portico-dev/portico/catalogmodel"
)

// A file is read entity by entity; what is wrong is reported with its place, all of it at once.
func Example() {
	const file = `
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: petstore
spec:
  type: service
  lifecycle: production
  owner: team-animals
---
apiVersion: backstage.io/v1alpha1
kind: API
metadata:
  name: pet store
spec:
  type: openapi
  lifecycle: production
  owner: 5
`
	for e, err := range catalogmodel.ReadYAML(strings.NewReader(file), "catalog-info.yaml") {
		if err == nil {
			err = catalogmodel.Default().Validate(e)
		}
		var invalid *catalogmodel.ValidationError
		if errors.As(err, &invalid) {
			for _, v := range invalid.Violations {
				fmt.Printf("%s:%d: %s\n", invalid.File, v.Position.Line, v)
			}
			continue
		}
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(e.Ref(), "is valid")
	}
	// Output:
	// component:default/petstore is valid
	// catalog-info.yaml:14: metadata.name must be letters, digits, and - _ . between them, at most 63 characters; it is "pet store"
	// catalog-info.yaml:15: spec.definition is required, and must be a string
	// catalog-info.yaml:18: spec.owner must be a string, not a number
}

// One declaration adds a kind: typed access, validation and relations follow from it.
func ExampleNewKind() {
	type ClusterSpec struct {
		Owner  string   `json:"owner"`
		Region string   `json:"region"`
		Hosts  []string `json:"hosts,omitempty"`
	}
	cluster := catalogmodel.NewKind[ClusterSpec](catalogmodel.Definition{
		Kind:        "Cluster",
		APIVersions: []string{"acme.example/v1"},
		Schema: `{
			"required": ["spec"],
			"properties": {"spec": {
				"type": "object",
				"required": ["owner", "region"],
				"properties": {
					"owner": {"type": "string", "minLength": 1},
					"region": {"enum": ["eu", "us"]},
					"hosts": {"type": "array", "items": {"type": "string"}}
				}
			}}
		}`,
		Relations: []catalogmodel.RelationField{
			{Path: "spec.owner", Type: catalogmodel.RelationOwnedBy, DefaultKind: "Group"},
			{Path: "spec.hosts", Type: "hosts", Inverse: "hostedOn", DefaultKind: "Component"},
		},
	})
	registry, err := catalogmodel.NewRegistry(catalogmodel.Config{Kinds: []catalogmodel.KindDefinition{cluster}})
	if err != nil {
		panic(err) // the declaration is broken
	}

	e, err := cluster.New("blue", ClusterSpec{Owner: "platform", Region: "mars", Hosts: []string{"petstore"}})
	if err != nil {
		panic(err)
	}
	fmt.Println(registry.Validate(e))

	e = e.With(catalogmodel.StringValue("eu"), "spec", "region")
	fmt.Println(registry.Validate(e))

	spec, err := cluster.Spec(e)
	fmt.Println(spec.Region, err)

	relations, err := registry.Relations(e)
	if err != nil {
		panic(err)
	}
	for _, r := range relations {
		fmt.Println(r.Source, r.Type, r.Target)
	}
	// Output:
	// entity cluster:default/blue is not valid: spec.region must be one of "eu", "us", not "mars"
	// <nil>
	// eu <nil>
	// cluster:default/blue ownedBy group:default/platform
	// group:default/platform ownerOf cluster:default/blue
	// cluster:default/blue hosts component:default/petstore
	// component:default/petstore hostedOn cluster:default/blue
}

// Entities are immutable: a change makes another one, which shares what did not change.
func ExampleEntity_WithAnnotation() {
	e, err := catalogmodel.ParseJSON([]byte(`{"kind":"Component","metadata":{"name":"x","custom":1.50}}`))
	if err != nil {
		panic(err)
	}
	changed := e.WithAnnotation("example.com/seen", "yes")
	fmt.Println(e)
	fmt.Println(changed)
	// Output:
	// {"kind":"Component","metadata":{"name":"x","custom":1.50}}
	// {"kind":"Component","metadata":{"name":"x","custom":1.50,"annotations":{"example.com/seen":"yes"}}}
}

func ExampleParseRef() {
	owner, err := catalogmodel.ParseRef("Platform", catalogmodel.RefDefaults{Kind: "Group", Namespace: "internal"})
	fmt.Println(owner, err)
	_, err = catalogmodel.ParseRef("petstore", catalogmodel.RefDefaults{})
	fmt.Println(err)
	// Output:
	// group:internal/platform <nil>
	// Entity reference "petstore" had missing or empty kind (e.g. did not start with "component:" or similar)
}

func ExampleKind_Spec() {
	e, err := catalogmodel.Component.New("petstore", catalogmodel.ComponentSpec{
		Type: "service", Lifecycle: "production", Owner: "team-animals",
	})
	if err != nil {
		panic(err)
	}
	if catalogmodel.Component.Is(e) {
		spec, err := catalogmodel.Component.Spec(e)
		fmt.Println(spec.Owner, err)
	}
	// Output: team-animals <nil>
}

func ExampleWriteYAML() {
	e, err := catalogmodel.ParseJSON([]byte(`{"kind":"API","metadata":{"name":"x","labels":{"on":"yes","n":"1"}},"spec":{"definition":"openapi: 3\ninfo: {}\n"}}`))
	if err != nil {
		panic(err)
	}
	if err := catalogmodel.WriteYAML(os.Stdout, e); err != nil {
		panic(err)
	}
	// Output:
	// kind: API
	// metadata:
	//   name: x
	//   labels:
	//     "on": "yes"
	//     "n": "1"
	// spec:
	//   definition: |
	//     openapi: 3
	//     info: {}
}

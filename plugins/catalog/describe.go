package catalog

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/portico-dev/portico/catalogmodel"
)

const modelIntroduction = `# The model of the software catalog

The catalog consists of entities. Each has apiVersion, kind, metadata, spec and relations; metadata has name, namespace, title, description,
annotations, labels, tags and links. A reference to an entity has the form kind:namespace/name, in lower case; the namespace is "default" unless
something else is said. A query names fields by their paths, such as spec.type or metadata.labels.tier. What an entity has to do with others
is best asked for by relations: relations.ownedby has the references of its owners, whatever the field in spec says.
`

// describeModel describes kinds of entities, as Markdown.
func describeModel(kinds []catalogmodel.Definition) string {
	var b strings.Builder
	b.WriteString(modelIntroduction)
	b.WriteString("\n## Kinds of entities\n")
	inverses := map[string]string{}
	for _, kind := range kinds {
		describeKind(&b, kind)
		for _, r := range kind.Relations {
			inverses[r.Type] = r.Inverse
		}
	}
	b.WriteString("\n## Relations\n\n")
	for _, relation := range slices.Sorted(maps.Keys(inverses)) {
		fmt.Fprintf(&b, "- %s", relation)
		if inverse := inverses[relation]; inverse != "" {
			fmt.Fprintf(&b, "; seen from the other entity, %s", inverse)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func describeKind(b *strings.Builder, kind catalogmodel.Definition) {
	fmt.Fprintf(b, "\n### %s", kind.Kind)
	if kind.SpecType != "" {
		fmt.Fprintf(b, " with spec.type %s", kind.SpecType)
	}
	fmt.Fprintf(b, "\n\napiVersion: %s\n\n", strings.Join(kind.APIVersions, " or "))
	relations := map[string]catalogmodel.RelationField{}
	for _, r := range kind.Relations {
		relations[r.Path] = r
	}
	for _, field := range specFields(kind.Schema) {
		b.WriteString("- " + field.path)
		if field.Type != "" {
			b.WriteString(": " + field.Type)
		}
		if field.required {
			b.WriteString(", required")
		}
		if r, ok := relations[field.path]; ok {
			b.WriteString("; makes the relation " + r.Type)
			if r.DefaultKind != "" {
				fmt.Fprintf(b, " to a %s, unless the reference names another kind", r.DefaultKind)
			}
		}
		if field.Description != "" {
			b.WriteString(". " + field.Description)
		}
		b.WriteByte('\n')
	}
}

// specField is a field of spec, as a schema has it.
type specField struct {
	Type, Description string

	path     string
	required bool
}

// specFields are the fields of spec that the schema of a kind tells of, the required ones first.
func specFields(schema string) []specField {
	var described struct {
		Properties struct {
			Spec struct {
				Required   []string
				Properties map[string]json.RawMessage
			}
		}
	}
	_ = json.Unmarshal([]byte(schema), &described) // a schema may take other forms, which say no fields
	spec := described.Properties.Spec
	var first, rest []specField
	for _, name := range slices.Sorted(maps.Keys(spec.Properties)) {
		var field specField
		_ = json.Unmarshal(spec.Properties[name], &field) // it may have several types
		field.path, field.required = "spec."+name, slices.Contains(spec.Required, name)
		if field.required {
			first = append(first, field)
		} else {
			rest = append(rest, field)
		}
	}
	return append(first, rest...)
}

package catalogmodel_test

import (
	"os/exec"
	"strings"
	"testing"
)

// TestImports keeps the package light: nothing else of this module, and two libraries.
func TestImports(t *testing.T) {
	t.Parallel()
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".")
	output, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	for path := range strings.FieldsSeq(string(output)) {
		switch {
		case path == "github.com/portico-dev/portico/catalogmodel":
		case strings.HasPrefix(path, "go.yaml.in/yaml/v4"), strings.HasPrefix(path, "github.com/santhosh-tekuri/jsonschema/v5"):
		default:
			t.Errorf("the package imports %s", path)
		}
	}
}

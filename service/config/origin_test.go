package config_test

import (
	"slices"
	"testing"

	"github.com/portico-dev/portico/service/config"
)

func TestOrigin(t *testing.T) {
	t.Parallel()
	type rule struct {
		Name   string
		Origin config.Origin
	}
	var settings struct {
		Rules  []rule
		ByName map[string]rule
		Origin config.Origin
	}
	s := mustLoad(t, map[string]string{
		"app-config.yaml":       "todo:\n  rules:\n    - name: a\n    - {name: b}\n  byName:\n    c: {name: c}\n",
		"app-config.local.yaml": "todo: {byName: {d: {name: d, origin: {file: x}}}}",
	})
	if err := s.Decode("todo", &settings); err != nil {
		t.Fatal(err)
	}
	for origin, want := range map[config.Origin][2]string{
		settings.Rules[0].Origin:    {"todo.rules[0]", "app-config.yaml:3:7"},
		settings.Rules[1].Origin:    {"todo.rules[1]", "app-config.yaml:4:7"},
		settings.ByName["c"].Origin: {"todo.byName.c", "app-config.yaml:6:5"},
		settings.ByName["d"].Origin: {"todo.byName.d", "app-config.local.yaml:1:17"},
	} {
		if origin.Key != want[0] || origin.String() != want[1] {
			t.Errorf("%s is at %s, want %q", origin.Key, origin, want)
		}
	}
	err := config.Join([]config.Problem{
		settings.Rules[1].Origin.Problem("", "is wrong"),
		settings.Rules[0].Origin.Problem("b", "there is no %q", "a"),
	})
	want := []string{`todo.rules[0] (app-config.yaml:3:7): there is no "a"; did you mean "b"?`, `todo.rules[1] (app-config.yaml:4:7): is wrong`}
	if got := problems(t, err); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if config.Join(nil) != nil {
		t.Error("no problems are an error")
	}
}

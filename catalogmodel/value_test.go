package catalogmodel_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/portico-dev/portico/catalogmodel"
)

// keys are few, so that paths meet; one of them is long.
var keys = rapid.SampledFrom([]string{"a", "b", "", "metadata", strings.Repeat("key", 100)})

// anything generates what encoding/json decodes into an any.
func anything(depth int) *rapid.Generator[any] {
	text := rapid.Map(rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"true", "1", "~", strings.Repeat("long ", 5000)})), func(s string) any { return s })
	kinds := []*rapid.Generator[any]{text, rapid.Just[any](nil), rapid.Map(rapid.Bool(), func(b bool) any { return b }),
		rapid.Map(rapid.Int64(), func(n int64) any { b, _ := json.Marshal(n); return json.Number(b) })}
	if depth > 0 {
		kinds = append(kinds, rapid.Map(rapid.SliceOfN(anything(depth-1), 0, 5), func(l []any) any { return l }), object(depth))
	}
	return rapid.OneOf(kinds...)
}

func object(depth int) *rapid.Generator[any] {
	return rapid.Map(rapid.MapOfN(keys, anything(depth-1), 0, 4), func(m map[string]any) any { return m })
}

// set is what With is documented to do, on maps.
func set(x, to any, path []string) (any, bool) {
	if len(path) == 0 {
		return to, true
	}
	m, ok := x.(map[string]any)
	if !ok {
		return x, false
	}
	below, there := m[path[0]]
	if !there {
		below = map[string]any{}
	}
	changed, ok := set(below, to, path[1:])
	if !ok {
		return x, false
	}
	out := map[string]any{path[0]: changed}
	for k, v := range m {
		if k != path[0] {
			out[k] = v
		}
	}
	return out, true
}

// unset is what Without is documented to do, on maps.
func unset(x any, path []string) any {
	m, ok := x.(map[string]any)
	if !ok {
		return x
	}
	out := map[string]any{}
	for k, v := range m {
		switch {
		case k != path[0]:
			out[k] = v
		case len(path) > 1:
			out[k] = unset(v, path[1:])
		}
	}
	return out
}

// TestValuesAreLikeMaps has values and maps changed alike, whether the values were made of maps, of JSON or of YAML.
func TestValuesAreLikeMaps(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := object(4).Draw(t, "object")
		e, err := catalogmodel.EntityOf(want)
		if err != nil {
			t.Fatal(err)
		}
		switch rapid.IntRange(0, 2).Draw(t, "origin") {
		case 1:
			if e, err = catalogmodel.ParseJSON(e.AppendJSON(nil)); err != nil {
				t.Fatal(err)
			}
		case 2:
			e = throughYAML(t, e)
		}
		for range rapid.IntRange(0, 5).Draw(t, "changes") {
			path := rapid.SliceOfN(keys, 1, 4).Draw(t, "path")
			if rapid.Bool().Draw(t, "remove") {
				e, want = e.Without(path...), unset(want, path)
				continue
			}
			to := anything(2).Draw(t, "value")
			v, err := catalogmodel.ValueOf(to)
			if err != nil {
				t.Fatal(err)
			}
			first, end := e.Value().Position(), e.Get(path[0]).Position()
			e = e.With(v, path...)
			want, _ = set(want, to, path)
			if e.Value().Position() != first || len(path) > 1 && e.Get(path[0]).Position() != end {
				t.Fatalf("%v moved to %v, %v to %v", first, e.Value().Position(), end, e.Get(path[0]).Position())
			}
		}
		if got := e.Value().Any(); !reflect.DeepEqual(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
		if again := throughYAML(t, e); !reflect.DeepEqual(again.Value().Any(), want) {
			t.Fatalf("%s became %s", e, again)
		}
	})
}

func throughYAML(t *rapid.T, e catalogmodel.Entity) catalogmodel.Entity {
	var text bytes.Buffer
	if err := catalogmodel.WriteYAML(&text, e); err != nil {
		t.Fatal(err)
	}
	for again, err := range catalogmodel.ReadYAML(&text, "x.yaml") {
		if err != nil {
			t.Fatal(err)
		}
		return again
	}
	t.Fatal("there is nothing")
	return e
}

// TestAliasesOfKeys has values repeated that stand in keys, or around others.
func TestAliasesOfKeys(t *testing.T) {
	t.Parallel()
	const text = "&a key: &b {x: &c [1, &d two], y: *d}\nagain: *a\nall: [*b, *c, *b]\n"
	for e, err := range catalogmodel.ReadYAML(strings.NewReader(text), "x.yaml") {
		if err != nil {
			t.Fatal(err)
		}
		const b = `{"x":[1,"two"],"y":"two"}`
		if got, want := e.String(), `{"key":`+b+`,"again":"key","all":[`+b+`,[1,"two"],`+b+`]}`; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

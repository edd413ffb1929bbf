package catalogmodel_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portico-dev/portico/catalogmodel"
)

// FuzzParseRef checks that what can be read can be written and read again, as the same entity.
func FuzzParseRef(f *testing.F) {
	for _, seed := range []string{"", "a", "a:b", "a:b/c", "b/c", "a/b:c", ":", "/", "a:/c", "Component:Default/X", "İ:Σ/ΑΣ", "a:b/c/d:e"} {
		f.Add(seed, "Component", "")
		f.Add(seed, "", "other")
	}
	f.Fuzz(func(t *testing.T, text, kind, namespace string) {
		ref, err := catalogmodel.ParseRef(text, catalogmodel.RefDefaults{Kind: kind, Namespace: namespace})
		if err != nil {
			if malformed := new(catalogmodel.RefError); !errors.As(err, &malformed) {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		if strings.ContainsAny(ref.Kind+ref.Namespace, ":/") || ref.Name == "" {
			return // defaults can be anything
		}
		again, err := catalogmodel.ParseRef(ref.String(), catalogmodel.RefDefaults{})
		if err != nil {
			t.Fatalf("%q became %q: %v", text, ref, err)
		}
		if !again.Equal(ref) || again.String() != ref.String() {
			t.Fatalf("%q became %q and then %q", text, ref, again)
		}
	})
}

// FuzzParseValue checks the JSON reader against encoding/json.
func FuzzParseValue(f *testing.F) {
	for _, seed := range []string{`{}`, `[1, 2.50, -0, 1e400]`, `{"a":1,"a":2}`, `"\ud83d\ude00\u0000\/"`, `nul`, `{"a":[{}]}`, "\"\x7f\xff\"", `{"a" : "b\n"} x`, `01`, `"\ud800"`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := catalogmodel.ParseValue(data)
		if err != nil {
			if json.Valid(data) && !strings.Contains(err.Error(), "levels deep") {
				t.Fatalf("refused %q: %v", data, err)
			}
			return
		}
		if !json.Valid(data) {
			t.Fatalf("accepted %q", data)
		}
		var want any
		decoder := json.NewDecoder(bytes.NewReader(data))
		decoder.UseNumber()
		if err := decoder.Decode(&want); err != nil {
			t.Fatal(err)
		}
		wantText, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		gotText, err := json.Marshal(v.Any())
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(gotText, wantText) {
			t.Fatalf("%q became %s, not %s", data, gotText, wantText)
		}
		text := v.AppendJSON(nil)
		again, err := catalogmodel.ParseValue(text)
		if err != nil {
			t.Fatalf("cannot read %s: %v", text, err)
		}
		if !bytes.Equal(again.AppendJSON(nil), text) {
			t.Fatalf("%s became %s", text, again)
		}
	})
}

// FuzzEntity validates anything that is an object: the verdict must come without panic, name fields that make sense, and be the
// same whether or not the entity has been through JSON.
func FuzzEntity(f *testing.F) {
	_, component, _ := component(f)
	f.Add(component)
	f.Add([]byte(`{"apiVersion":"scaffolder.backstage.io/v1beta3","kind":"Template","metadata":{"name":"x"},"spec":{"type":"t","parameters":[{"backstage:permissions":1}],"steps":[{"if":1}],"output":{"a":1}}}`))
	f.Add([]byte(`{"kind":"API","apiVersion":"backstage.io/v1beta1","metadata":{"name":"","labels":{"":1,"a":"-"}},"spec":{"type":"mcp-server","remotes":[{}]},"relations":[{"type":"x y"}],"status":{"items":[{"level":"bad"}]}}`))
	f.Add([]byte(`{"kind":5,"apiVersion":null,"metadata":[],"spec":1e999999999}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := catalogmodel.ParseJSON(data)
		if err != nil {
			return
		}
		verdict := catalogmodel.Default().Validate(e)
		_, _ = catalogmodel.Default().Relations(e)
		var again catalogmodel.Entity
		if err := json.Unmarshal(e.AppendJSON(nil), &again); err != nil {
			t.Fatal(err)
		}
		if verdict == nil {
			if err := catalogmodel.Default().Validate(again); err != nil {
				t.Fatal(err)
			}
			return
		}
		invalid := new(catalogmodel.ValidationError)
		if !errors.As(verdict, &invalid) || len(invalid.Violations) == 0 {
			t.Fatalf("%T: %v", verdict, verdict)
		}
		for _, v := range invalid.Violations {
			if v.Message == "" || v.Rule == "" || v.Path != "" && v.Path[0] != '/' {
				t.Fatalf("%+v", v)
			}
		}
		if err := catalogmodel.Default().Validate(again); err == nil || err.Error() != verdict.Error() {
			t.Fatalf("first %v, then %v", verdict, err)
		}
	})
}

// FuzzReadYAML checks that entities read from YAML survive being written and read again.
func FuzzReadYAML(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		f.Fatal("no seeds", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, seed := range []string{"a: &a [*a]", "a: &a b\nc: *a", "---\n---\n...\n%YAML 1.2\n---\na: 0x1F", "{a: .5, b: 1_000, c: yes, d: \"\\x01\"}", "a: |\n  x\n\n  y \nb: >-\n   z\n", "? [a]\n: b", "<<: {a: 1}", "1: a\n1.0: b\n~: c", "\ufeffa: b", "a: 'b\n---\nc: d'"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for e, err := range catalogmodel.ReadYAML(bytes.NewReader(data), "x.yaml") {
			if err != nil {
				if malformed := new(catalogmodel.SyntaxError); !errors.As(err, &malformed) {
					t.Fatalf("%T: %v", err, err)
				}
				continue
			}
			_ = catalogmodel.Default().Validate(e)
			var written bytes.Buffer
			if err := catalogmodel.WriteYAML(&written, e); err != nil {
				t.Fatal(err)
			}
			n := 0
			for again, err := range catalogmodel.ReadYAML(&written, "y.yaml") {
				if n++; err != nil {
					t.Fatalf("%s: %v", e, err)
				}
				if again.String() != e.String() {
					t.Fatalf("%s became %s", e, again)
				}
			}
			if n != 1 {
				t.Fatalf("%s became %d documents", e, n)
			}
		}
	})
}

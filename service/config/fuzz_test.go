package config_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/portico-dev/portico/service/config"
)

// FuzzLoad checks that no file makes loading panic or go on for ever, and that what was loaded can be read.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{
		"a: 1\nb: [x, {c: d}]\n", "a: &a {b: *a}\n", "a: {<<: {b: 1}, c: 2}\n", "a: !!int x\n", "? [a]\n: b\n", "a: {$include: app-config.yaml#a}\n",
		"a: {$file: x}\n", "a: ${X:-${Y}}\n", "<<: [*x]\n", "a: |\n  b\n---\n", "\xff", "%YAML 1.1\n---\na: b\n", "a: {$env: X}\nb: {$include: app-config.yaml}\n",
		"a: &x\n  - *x\n", "- a\n", "1: {2: {3: 4}}\n", "/: {~: 0}\n", "a: 0x\nb: 0o\nc: +\nd: .\ne: -\n",
	} {
		f.Add(seed)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, content string) {
		if err := os.WriteFile(filepath.Join(dir, "app-config.yaml"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := config.Load(t.Context(), config.Options{Dir: dir, Env: []string{"X=x"}})
		if err != nil {
			if len(problems(t, err)) == 0 {
				t.Errorf("an error without a problem: %v", err)
			}
			return
		}
		var all any
		if err := s.Decode("", &all); err != nil {
			t.Error(err)
		}
		if err := s.Validate(schemas()); err != nil {
			problems(t, err)
		}
		s.Values()
	})
}

// FuzzSubstitute checks that texts without references are left alone, and that escaping works for all texts.
func FuzzSubstitute(f *testing.F) {
	for _, seed := range []string{"${X}", "$${X}", "$$${X}", "${X:-d}", "${U:-}", "${U}", "${", "}", "${X", "$X", "${{X}}", "a${X}b${ X }c", "${U:-:-}", "${X:-${U}}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, unset := config.Substitute(text, map[string]string{"X": "x"})
		if unset != "" && got != "" {
			t.Errorf("%q is %q, though %q isn't set", text, got, unset)
		}
		if escaped, unset := config.Substitute(config.Escape(text), nil); escaped != text || unset != "" {
			t.Errorf("%q escaped is %q, and read %q (%q)", text, config.Escape(text), escaped, unset)
		}
	})
}

package catalogmodel_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/portico-dev/portico/catalogmodel"
)

// read returns the entities and errors of text, as texts.
func read(r io.Reader) []string {
	var out []string
	for e, err := range catalogmodel.ReadYAML(r, "f") {
		if err != nil {
			out = append(out, "error: "+err.Error())
			continue
		}
		out = append(out, e.String())
	}
	return out
}

func TestReadYAMLErrors(t *testing.T) {
	t.Parallel()
	wide := "a: &a [" + strings.Repeat("x,", 1000) + "]\n"
	bomb := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'k'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c,", c-1), 10), ","))
	}
	for name, c := range map[string]struct{ text, want string }{
		"malformed":                 {"a: 1\nb: [1\nc: 2\n", "f:3:2: malformed YAML: did not find expected ',' or ']' (while parsing a flow sequence that begins at 2:4)"},
		"line in a later document":  {"a: 1\n---\n\n\nb: c: d\n", "f:5:5: malformed YAML: mapping values are not allowed in this context"},
		"in the first line":         {"a: b: c", "f:1:5: malformed YAML: mapping values are not allowed in this context"},
		"unclosed object":           {"a:\n  b: {\n", "f:2:7: malformed YAML: did not find expected node content"},
		"bad indentation":           {"a:\n  - b\n c: d\n", "f:3:2: malformed YAML: did not find expected key (while parsing a block mapping that begins at 1:1)"},
		"tab":                       {"a:\n\tb: c\n", "f:2:1: malformed YAML: found character that cannot start any token"},
		"unclosed text":             {"a: 1\nb: 'c\nd: e\n\n", "f:3:5: malformed YAML: found unexpected end of stream (while scanning a quoted scalar that begins at 2:4)"},
		"unknown anchor":            {"a: 1\nb: [c, *d]\n", "f:2:8: malformed YAML: unknown anchor 'd' referenced"},
		"bad escape":                {"a: 1\nb: \"\\q\"\n", "f:2:5: malformed YAML: found unknown escape character"},
		"repeated key":              {"a: 1\nb: 2\na: 3\n", `f:3:1: the key "a" is there already`},
		"no object":                 {"# list\n- a\n", "f:2:1: a document must hold an object, not an array"},
		"key that is no scalar":     {"? {a: b}\n: c\n", "f:1:3: a key must be a scalar, not object"},
		"alias of what contains it": {"a: &a [*a]\n", "f:1:8: alias *a stands inside of what it refers to"},
		"alias bomb":                {bomb, "aliases make the document too large"},
		"large alias":               {"a: &a " + strings.Repeat("x", 1<<20) + "\nb: [" + strings.Repeat("*a,", 20) + "]\n", "aliases make the document too large"},
		"wide alias":                {wide + "b: [" + strings.Repeat("*a,", 200) + "]\n", "aliases make the document too large"},
		"deep":                      {"a: " + strings.Repeat("[", 600) + strings.Repeat("]", 600), "nested more than 512 levels deep"},
		"very deep":                 {"a: " + strings.Repeat("[", 200000), "malformed YAML: exceeded max depth"},
		"long":                      {"a: " + strings.Repeat("x", 11<<20), "f:1:1: the document is longer than 10485760 bytes"},
		"many values":               {"a: [" + strings.Repeat("x,", 1_000_001) + "]", "f:1:1: the document may have more than 1000000 values"},
		"not UTF-8":                 {"a: \xff\n", "f:1:1: malformed YAML"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := read(strings.NewReader(c.text + "\n---\nok: true\n"))
			if len(got) < 2 || !strings.Contains(got[len(got)-2], "error: ") || !strings.Contains(got[len(got)-2], c.want) {
				t.Errorf("got %.300q, want %q", got, c.want)
			}
			if last := got[len(got)-1]; last != `{"ok":true}` {
				t.Errorf("the next document became %s", last)
			}
		})
	}
}

func TestParseYAML(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"[a, 1.0]":          `["a",1.0]`,
		"# c\n---\na: b\n":  `{"a":"b"}`,
		"~":                 `null`,
		`"\ud83d\ude00\\u"`: `"😀\\u"`,
	} {
		if v, err := catalogmodel.ParseYAML([]byte(text), "f"); err != nil || string(v.AppendJSON(nil)) != want {
			t.Errorf("%q is %s, %v; want %s", text, v, err, want)
		}
	}
	for text, want := range map[string]string{
		"":                          "f: there must be one document, not 0",
		"a\n---\nb":                 "f: there must be one document, not 2",
		"a: [":                      "f:1:5: malformed YAML",
		"- a\n- {b: 1, b: 2}":       `f:2:10: the key "b" is there already`,
		strings.Repeat("x", 11<<20): "f:1:1: the document is longer",
	} {
		malformed := new(catalogmodel.SyntaxError)
		if _, err := catalogmodel.ParseYAML([]byte(text), "f"); !errors.As(err, &malformed) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: error %v, want %q", text, err, want)
		}
	}
}

func TestReadYAMLStopsAtReaderErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	r := io.MultiReader(strings.NewReader("a: 1\n---\nb: 2\n"), iotest.ErrReader(broken))
	var got []string
	var last error
	for e, err := range catalogmodel.ReadYAML(r, "f") {
		if last = err; err == nil {
			got = append(got, e.String())
		}
	}
	if len(got) != 1 || got[0] != `{"a":1}` || !errors.Is(last, broken) {
		t.Errorf("got %q, %v", got, last)
	}
}

func TestReadYAMLInSmallPieces(t *testing.T) {
	t.Parallel()
	text := "\ufeff# first\na: 1\r\n---\r\nb: |\n  ---\n  x\n...\n# between\n--- # third\nc: \"" + strings.Repeat("long ", 10000) + "\"\n---\n---\nd: 1"
	want := read(strings.NewReader(text))
	if len(want) != 4 {
		t.Fatalf("%d documents", len(want))
	}
	if got := read(iotest.OneByteReader(strings.NewReader(text))); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("byte by byte: %.200q", got)
	}
}

func TestReadYAMLStopsWhenAsked(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"a: 1\n---\nb: 2\n", "a: [\n---\nb: 2\n", "[]\n---\nb: 2\n"} {
		n := 0
		for range catalogmodel.ReadYAML(strings.NewReader(text), "f") {
			n++
			break
		}
		if n != 1 {
			t.Errorf("%q: %d", text, n)
		}
	}
}

func TestPositions(t *testing.T) {
	t.Parallel()
	const text = `# comment
kind: K
---
kind: Component
metadata:
  name: &n x
  tags:
    - a
    - {b: c}
spec: {owner: *n}
`
	for e, err := range catalogmodel.ReadYAML(strings.NewReader(text), "f") {
		if err != nil {
			t.Fatal(err)
		}
		if e.File() != "f" {
			t.Errorf("file %q", e.File())
		}
		if e.Kind() != "Component" {
			continue
		}
		for path, want := range map[string]catalogmodel.Position{
			"kind": {Line: 4, Column: 7}, "metadata/name": {Line: 6, Column: 9}, "metadata/tags/0": {Line: 8, Column: 7},
			"metadata/tags/1/b": {Line: 9, Column: 11}, "spec": {Line: 10, Column: 7}, "spec/none": {},
		} {
			if got := e.Get(strings.Split(path, "/")...).Position(); got != want {
				t.Errorf("%s is at %v, want %v", path, got, want)
			}
		}
	}
}

// repeated reads a text as often as it takes to give n bytes.
type repeated struct {
	text string
	n    int
	at   int
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.n <= 0 {
		return 0, io.EOF
	}
	n := copy(p, r.text[r.at:])
	r.at = (r.at + n) % len(r.text)
	r.n -= n
	return n, nil
}

// BenchmarkYAMLStream reads and validates a file of 100 MB and reports the most memory that was in use.
func BenchmarkYAMLStream(b *testing.B) {
	text, err := os.ReadFile("testdata/component.yaml")
	if err != nil {
		b.Fatal(err)
	}
	const size = 100 << 20
	b.SetBytes(size)
	var peak uint64
	entities := 0
	for b.Loop() {
		for e, err := range catalogmodel.ReadYAML(&repeated{text: "---\n" + string(text), n: size}, "big.yaml") {
			if err != nil {
				continue // the last document is cut off
			}
			if err := catalogmodel.Default().Validate(e); err != nil {
				continue
			}
			if entities++; entities%1000 == 0 {
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				peak = max(peak, m.HeapAlloc)
			}
		}
	}
	b.ReportMetric(float64(peak)/(1<<20), "peak-MB")
	b.ReportMetric(float64(entities)/b.Elapsed().Seconds(), "entities/s")
}

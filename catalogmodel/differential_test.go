package catalogmodel_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"iter"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/portico-dev/portico/catalogmodel"
)

// The vectors in testdata/differential are what Backstage's own packages said; see generate.mjs there.

func vectors[T any](t *testing.T, name string) iter.Seq2[int, T] {
	t.Helper()
	file, err := os.Open("testdata/differential/" + name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(unzipped)
	lines.Buffer(nil, 1<<20)
	return func(yield func(int, T) bool) {
		for n := 1; lines.Scan(); n++ {
			var row T
			if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
				t.Fatalf("%s:%d: %v", name, n, err)
			}
			if !yield(n, row) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSameVerdict compares the verdict on generated entities, the set of fields that are wrong, and the relations of those that
// are valid.
func TestSameVerdict(t *testing.T) {
	t.Parallel()
	type row struct {
		Entity    catalogmodel.Entity
		Envelope  string
		Message   string
		Fields    []string
		Relations []string
		Error     string
	}
	registry := catalogmodel.Default()
	n, valid, failed := 0, 0, 0
	for line, row := range vectors[row](t, "entities.jsonl.gz") {
		n++
		var fields []string
		if err := registry.Validate(row.Entity); err != nil {
			invalid := new(catalogmodel.ValidationError)
			if !errors.As(err, &invalid) {
				t.Fatal(err)
			}
			for _, v := range invalid.Violations {
				fields = append(fields, v.Path)
			}
			slices.Sort(fields)
			fields = slices.Compact(fields)
		} else {
			valid++
		}
		if err := registry.ValidateEnvelope(row.Entity); (err == nil) != (row.Envelope == "") {
			t.Errorf("line %d: %s\nenvelope %v, want %q", line, row.Entity, err, row.Envelope)
		}
		slices.Sort(row.Fields)
		if !slices.Equal(fields, row.Fields) {
			t.Errorf("line %d: %s\nfields %q\nwant   %q: %s", line, row.Entity, fields, row.Fields, row.Message)
			failed++
		}
		if row.Relations != nil || row.Error != "" {
			compareRelations(t, registry, row.Entity, row.Relations, row.Error)
		}
		if failed > 20 {
			t.Fatal("too many differences")
		}
	}
	if n < 5000 || valid < 1000 {
		t.Fatalf("only %d vectors, %d of them valid", n, valid)
	}
	t.Logf("%d entities, %d valid", n, valid)
}

func compareRelations(t *testing.T, registry *catalogmodel.Registry, e catalogmodel.Entity, want []string, message string) {
	t.Helper()
	relations, err := registry.Relations(e)
	if err != nil || message != "" {
		ofText := strings.HasPrefix(message, `Entity reference "`) // the others are of references that are not even strings
		if err == nil || message == "" || ofText && !strings.Contains(err.Error(), message) {
			t.Errorf("%s\nerror %v\nwant  %s", e, err, message)
		}
		return
	}
	var got []string
	for _, r := range relations {
		got = append(got, r.Source.String()+" "+r.Type+" "+r.Target.String())
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s\nrelations %q\nwant      %q", e, got, want)
	}
}

// TestSameRefs compares how references are read, which are refused and with which message, and how they are written.
func TestSameRefs(t *testing.T) {
	t.Parallel()
	type row struct {
		Ref, Kind, Namespace string
		Parsed               []string
		Text, Error          string
	}
	n := 0
	for line, row := range vectors[row](t, "refs.jsonl.gz") {
		n++
		ref, err := catalogmodel.ParseRef(row.Ref, catalogmodel.RefDefaults{Kind: row.Kind, Namespace: row.Namespace})
		if err != nil {
			if err.Error() != row.Error {
				t.Errorf("line %d: %q: error %q, want %q", line, row.Ref, err, row.Error)
			}
			continue
		}
		if got := []string{ref.Kind, ref.Namespace, ref.Name}; !slices.Equal(got, row.Parsed) {
			t.Errorf("line %d: %q is %q, want %q (%s)", line, row.Ref, got, row.Parsed, row.Error)
		}
		if ref.String() != row.Text {
			t.Errorf("line %d: %q is written %q, want %q", line, row.Ref, ref, row.Text)
		}
	}
	if n < 5000 {
		t.Fatalf("only %d vectors", n)
	}
}

// TestSameYAML compares which objects a YAML text holds.
func TestSameYAML(t *testing.T) {
	t.Parallel()
	type row struct {
		Text    string
		Results []json.RawMessage
	}
	known := map[string]bool{}
	for _, texts := range knownYAML {
		for _, text := range texts {
			known[text] = true
		}
	}
	for line, row := range vectors[row](t, "yaml.jsonl.gz") {
		var got []string
		for e, err := range catalogmodel.ReadYAML(strings.NewReader(row.Text), "x.yaml") {
			if err != nil {
				got = append(got, "null")
				continue
			}
			got = append(got, canonical(t, e.AppendJSON(nil)))
		}
		var want []string
		for _, r := range row.Results {
			want = append(want, canonical(t, r))
		}
		if known[row.Text] == slices.Equal(got, want) {
			t.Errorf("line %d: %q, known to differ: %t\nis   %q\nwant %q", line, row.Text, known[row.Text], got, want)
		}
	}
}

var negativeZero = regexp.MustCompile(`([:\[])-0([,\]}])`)

// canonical writes JSON with sorted keys and with numbers as JavaScript has them.
func canonical(t *testing.T, text []byte) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		t.Fatal(err)
	}
	return negativeZero.ReplaceAllString(strings.TrimSpace(b.String()), "${1}0${2}")
}

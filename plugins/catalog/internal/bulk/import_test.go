package bulk_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog/internal/bulk"
	"github.com/portico-dev/portico/plugins/catalog/internal/store"
	"github.com/portico-dev/portico/service"
)

// provider is a target in memory, to which "component:default/taken" belongs to somebody else.
type provider map[string]bool

func (p provider) Apply(_ context.Context, added []catalogmodel.Entity, removed []string) (conflicts []store.Conflict, err error) {
	for _, e := range added {
		if ref := e.Ref().String(); ref == "component:default/taken" {
			conflicts = append(conflicts, store.Conflict{Ref: ref})
		} else {
			p[ref] = true
		}
	}
	for _, ref := range removed {
		delete(p, ref)
	}
	return conflicts, nil
}

func (p provider) Brought(context.Context) ([]string, error) {
	return slices.Collect(maps.Keys(p)), nil
}

func line(name string) string {
	return fmt.Sprintf(`{"apiVersion":"v1","kind":"Thing","metadata":{"name":%q}}`, name) + "\n"
}

// TestBrokenStream has a full import end in the middle: nothing may be removed.
func TestBrokenStream(t *testing.T) {
	t.Parallel()
	p := provider{"thing:default/old": true}
	broken := io.MultiReader(strings.NewReader(line("a")+line("b")[:20]), failing{})
	report, err := bulk.Import(t.Context(), broken, p, true, func() error { return nil })
	if !errors.Is(err, service.InputError) || !strings.Contains(err.Error(), "line 2") || report.Removed != 0 || !p["thing:default/old"] {
		t.Errorf("%+v, %v, %v", report, err, p)
	}
	if !p["thing:default/a"] {
		t.Error("what came before the end was not taken")
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// FuzzImport has anything be imported: each line is accounted for, and the same again leads to the same.
func FuzzImport(f *testing.F) {
	f.Add(line("a")+line("b")+`{"delete":"thing:default/a"}`, true)
	f.Add(line("a")+"\n\r\n"+`{"delete":"thing:default/a"}`+"\n"+line("taken"), false)
	f.Add("{\x00\n[]\nnull\n{}\n{\"delete\":1}\n{\"delete\":\"\"}", false)
	f.Fuzz(func(t *testing.T, text string, full bool) {
		p := provider{"thing:default/old": true}
		first, err := bulk.Import(t.Context(), strings.NewReader(text), p, full, func() error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		removed := first.Removed
		if full {
			removed = 0 // which no lines stand for
		}
		if first.Lines != first.Accepted+removed+first.Failed || len(first.Errors) != min(first.Failed, 1000) {
			t.Errorf("lines are not accounted for: %+v", first)
		}
		if kept := p["thing:default/old"]; full && kept != (first.Failed > 0 || strings.Contains(text, `"old"`)) && !strings.Contains(strings.ToLower(text), "old") {
			t.Errorf("old is kept: %t, %+v", kept, first)
		}
		after := maps.Clone(p)
		second, err := bulk.Import(t.Context(), strings.NewReader(text), p, full, func() error { return nil })
		if err != nil || second.Failed != first.Failed || !maps.Equal(p, after) {
			t.Errorf("the same again: %+v, then %+v; %v, then %v", first, second, after, p)
		}
	})
}

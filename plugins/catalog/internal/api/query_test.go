package api_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"pgregory.net/rapid"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog/internal/api"
	"github.com/portico-dev/portico/plugins/catalog/internal/index"
)

// thing is an entity of which a test knows everything that can be asked.
type thing struct {
	uid, name, kind string
	labels          map[string]string // of spec, as spelt
	tags            []string
}

var spellings = []string{"a", "A", "b", "ab", "aB", "c d"}

func genThings(t *rapid.T) []thing {
	things := make([]thing, rapid.IntRange(0, 12).Draw(t, "things"))
	for i := range things {
		things[i] = thing{uid: fmt.Sprintf("uid-%02d", i), name: fmt.Sprintf("thing-%d", i), kind: rapid.SampledFrom([]string{"Component", "API"}).Draw(t, "kind"),
			labels: rapid.MapOfN(rapid.SampledFrom([]string{"type", "owner"}), rapid.SampledFrom(spellings), 0, 2).Draw(t, "labels"),
			tags:   rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"x", "y", "z"}), 0, 3, rapid.ID).Draw(t, "tags")}
	}
	return things
}

// values are those of a key, in lower case, and whether the entity has the key at all.
func (t thing) values(key string) (found []string, has bool) {
	switch key {
	case "kind":
		return []string{strings.ToLower(t.kind)}, true
	case "metadata.name":
		return []string{t.name}, true
	case "metadata.tags":
		return t.tags, len(t.tags) > 0
	case "metadata.tags.x":
		return []string{"true"}, slices.Contains(t.tags, "x")
	}
	v, ok := t.labels[strings.TrimPrefix(key, "spec.")]
	return []string{strings.ToLower(v)}, ok
}

// statement is a part of a filter: the key, or the key with a value.
type statement struct{ key, value string }

func (s statement) String() string {
	if s.value == "" {
		return s.key
	}
	return s.key + "=" + s.value
}

var keys = []string{"kind", "metadata.name", "metadata.tags", "metadata.tags.x", "spec.type", "spec.owner", "spec.nope"}

func genFilters(t *rapid.T) [][]statement {
	gen := rapid.Custom(func(t *rapid.T) statement {
		return statement{rapid.SampledFrom(keys).Draw(t, "key"), rapid.SampledFrom(append([]string{"", "component", "api", "x", "true", "thing-3"}, spellings...)).Draw(t, "value")}
	})
	return rapid.SliceOfN(rapid.SliceOfN(gen, 1, 3), 0, 2).Draw(t, "filters")
}

// passes tells, as the documentation of the filter does: of the parameters one must hold; in it, for each key, one of its values, or that it
// exists.
func passes(t thing, filters [][]statement) bool {
	return len(filters) == 0 || slices.ContainsFunc(filters, func(set []statement) bool {
		wanted := map[string][]string{}
		for _, s := range set {
			wanted[s.key] = append(wanted[s.key], s.value)
		}
		for key, all := range wanted {
			all = slices.DeleteFunc(all, func(v string) bool { return v == "" })
			found, has := t.values(key)
			if !has || len(all) > 0 && !slices.ContainsFunc(all, func(v string) bool { return has && slices.Contains(found, strings.ToLower(v)) }) {
				return false
			}
		}
		return true
	})
}

// TestByQueryAnswersAsAScanDoes asks for pages over HTTP, forth and back, and for facets, and compares them with looks at every entity.
func TestByQueryAnswersAsAScanDoes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		things, filters := genThings(t), genFilters(t)
		order := rapid.SampledFrom([]string{"", "metadata.name", "spec.type", "spec.owner"}).Draw(t, "order")
		descending := rapid.Bool().Draw(t, "descending")
		text := rapid.SampledFrom([]string{"", "a", "B", "thing-1", " ab "}).Draw(t, "text")
		limit := rapid.IntRange(1, 4).Draw(t, "limit")
		serve := serving(t, things)

		var want []string
		for _, thing := range scan(things, filters, order, descending, text) {
			want = append(want, thing.name)
		}
		values := url.Values{"limit": {fmt.Sprint(limit)}}
		if text != "" {
			values["fullTextFilterTerm"], values["fullTextFilterFields"] = []string{text}, []string{"metadata.name,spec.type"}
		}
		for _, set := range filters {
			var parts []string
			for _, s := range set {
				parts = append(parts, s.String())
			}
			values.Add("filter", strings.Join(parts, ","))
		}
		if order != "" {
			values.Set("orderField", order+","+map[bool]string{true: "desc", false: "asc"}[descending])
		}
		var got []string
		pages := 0
		page := serve("/entities/by-query?" + values.Encode())
		for {
			pages++
			got = append(got, page.names()...)
			if page.Total != len(want) {
				t.Fatalf("totalItems is %d, want %d", page.Total, len(want))
			}
			if page.PageInfo.Next == "" {
				break
			}
			page = serve("/entities/by-query?" + url.Values{"cursor": {page.PageInfo.Next}, "limit": {fmt.Sprint(limit)}}.Encode())
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%v: got %q, want %q", values, got, want)
		}
		back := page.names()
		for page.PageInfo.Previous != "" {
			page = serve("/entities/by-query?" + url.Values{"cursor": {page.PageInfo.Previous}, "limit": {fmt.Sprint(limit)}}.Encode())
			back = append(page.names(), back...)
		}
		if !slices.Equal(back, want) {
			t.Fatalf("%v: going back over %d pages there are %q, want %q", values, pages, back, want)
		}
	})
}

// scan is what a query means.
func scan(things []thing, filters [][]statement, order string, descending bool, text string) []thing {
	text = strings.ToLower(strings.TrimSpace(text))
	var found []thing
	for _, t := range things {
		_, ordered := t.values(order)
		typ, typed := t.values("spec.type")
		has := strings.Contains(t.name, text) || typed && strings.Contains(typ[0], text)
		if passes(t, filters) && (order == "" || ordered) && (text == "" || has) {
			found = append(found, t)
		}
	}
	slices.SortFunc(found, func(a, b thing) int {
		c := 0
		if order != "" {
			v, _ := a.values(order)
			w, _ := b.values(order)
			c = strings.Compare(v[0], w[0])
		}
		if c = cmp.Or(c, strings.Compare(a.uid, b.uid)); descending && order != "" {
			return -c
		}
		return c
	})
	return found
}

type page struct {
	Items    []catalogmodel.Entity
	Total    int `json:"totalItems"`
	PageInfo struct {
		Next     string `json:"nextCursor"`
		Previous string `json:"prevCursor"`
	}
}

func (p page) names() []string {
	var all []string
	for _, e := range p.Items {
		all = append(all, e.Name())
	}
	return all
}

// serving serves a catalog of the things.
func serving(t *rapid.T, things []thing) func(path string) page {
	var entries []index.Entry
	for _, thing := range things {
		spec := map[string]any{}
		for key, v := range thing.labels {
			spec[key] = v
		}
		e, err := catalogmodel.EntityOf(map[string]any{"apiVersion": "v1", "kind": thing.kind, "spec": spec,
			"metadata": map[string]any{"name": thing.name, "uid": thing.uid, "tags": thing.tags}})
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, index.Entry{Ref: e.Ref().String(), UID: thing.uid, JSON: e.AppendJSON(nil)})
	}
	x := index.New()
	if err := x.Apply(entries); err != nil {
		t.Fatal(err)
	}
	router := echo.New()
	routes, err := api.NewRouter(router.Group(""))
	if err != nil {
		t.Fatal(err)
	}
	api.New(x, func(context.Context, []string) (map[string][]string, error) { return nil, nil }, nil, nil).Register(routes)
	return func(path string) page {
		recorder := httptest.NewRecorder()
		router.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, path, nil))
		var p page
		if err := json.Unmarshal(recorder.Body.Bytes(), &p); err != nil || recorder.Code != http.StatusOK {
			t.Fatalf("%s: status %d, %s, %v", path, recorder.Code, recorder.Body, err)
		}
		return p
	}
}

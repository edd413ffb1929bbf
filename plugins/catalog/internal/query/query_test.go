package query_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog/internal/query"
	"github.com/portico-dev/portico/service"
)

var entity = `{"apiVersion":"v1","kind":"Component","metadata":{"name":"Web","uid":"U1","etag":"x","labels":{"a.b/c":"D"},"tags":["Java","java","go"],
"n":7.50,"big":1e21,"small":0.0000001,"yes":true,"no":null,"list":[{"a":1},{"a":2}],"long":"` + long + `"},"spec":{"type":"service"},
"relations":[{"type":"ownedBy","targetRef":"group:default/x"}],"status":{"items":[]}}`

var long = strings.Repeat("x", 201)

func terms(t *testing.T, text string) []query.Term {
	t.Helper()
	e, err := catalogmodel.ParseJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	all, err := query.Terms(e)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestFilter(t *testing.T) {
	t.Parallel()
	all := terms(t, entity)
	for filter, want := range map[string]bool{
		"":                                   true,
		"kind=component":                     true,
		"KIND=COMPONENT":                     true,
		"kind=api":                           false,
		" kind = api , kind = component ,, ": true,
		"kind=component,spec.type=website":   false,
		"kind=api&kind=component":            true,
		"metadata.name=web":                  true,
		"metadata.namespace=default":         true,
		"metadata.uid=u1":                    true,
		"metadata.etag":                      false,
		"metadata.labels.a.b/c=d":            true,
		"metadata.tags=java":                 true,
		"metadata.tags.java":                 true,
		"metadata.tags.java=true":            true,
		"metadata.tags.0":                    false,
		"metadata.n=7.5":                     true,
		"metadata.big=1e+21":                 true,
		"metadata.small=1e-7":                true,
		"metadata.yes=true":                  true,
		"metadata.no":                        true,
		"metadata.no=":                       false,
		"metadata.no=null":                   false,
		"metadata.list.a=2":                  true,
		"metadata.long":                      true,
		"metadata.long=" + long:              false,
		"relations.ownedby=group:default/X":  true,
		"relations.ownedBy":                  true,
		"relations.type":                     false,
		"status.items":                       false,
	} {
		p, err := query.ParseFilter(strings.Split(filter, "&"))
		if err != nil {
			t.Fatal(err)
		}
		if got := query.Match(p, all); got != want {
			t.Errorf("%q: got %t, want %t", filter, got, want)
		}
		readAgain(t, p)
	}
}

func TestPredicate(t *testing.T) {
	t.Parallel()
	all := terms(t, entity)
	for text, want := range map[string]bool{
		`{}`:                                             true,
		`{"$all":[]}`:                                    true,
		`{"$any":[]}`:                                    false,
		`{"$not":{"$any":[]}}`:                           true,
		`{"kind":"component","apiVersion":"V1"}`:         true,
		`{"kind":"component","apiVersion":"V2"}`:         false,
		`{"metadata.n":7.50}`:                            true,
		`{"metadata.yes":true}`:                          true,
		`{"metadata.no":{"$exists":true}}`:               true,
		`{"metadata.nope":{"$exists":false}}`:            true,
		`{"kind":{"$in":[]}}`:                            false,
		`{"kind":{"$in":["a","Component"]}}`:             true,
		`{"kind":{"$hasPrefix":"Comp"}}`:                 true,
		`{"kind":{"$hasPrefix":"%"}}`:                    false,
		`{"metadata.tags":{"$contains":"GO"}}`:           true,
		`{"relations":{"$contains":{"type":"OwnedBy"}}}`: true,
		`{"relations":{"$contains":{"type":"ownedBy","targetRef":"group:default/x"}}}`:               true,
		`{"relations":{"$contains":{"type":"ownedBy","targetRef":{"$in":["a","group:default/X"]}}}}`: true,
		`{"relations":{"$contains":{"type":"partOf"}}}`:                                              false,
		`{"$any":[{"kind":"api"},{"$all":[{"kind":"component"},{"$not":{"spec.type":"website"}}]}]}`: true,
	} {
		p, err := query.ParsePredicate([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := query.Match(p, all); got != want {
			t.Errorf("%s: got %t, want %t", text, got, want)
		}
	}
	for _, text := range []string{`"a"`, `1`, `[]`, `{`, `{"$wat":1}`, `{"$all":{}}`, `{"$all":[1]}`, `{"$all":[],"$any":[]}`, `{"$not":1}`, `{"kind":null}`,
		`{"kind":[]}`, `{"kind":{}}`, `{"kind":{"$wat":1}}`, `{"kind":{"$in":[{}]}}`, `{"kind":{"$contains":{}}}`, `{"kind":{"$contains":null}}`,
		`{"relations":{"$contains":{}}}`, `{"relations":{"$contains":{"type":1}}}`, `{"relations":{"$contains":{"type":"a","x":"b"}}}`,
		`{"relations":{"$contains":{"type":"a","targetRef":{"$in":[]}}}}`,
		strings.Repeat(`{"$not":`, 100) + `{}` + strings.Repeat(`}`, 100)} {
		if p, err := query.ParsePredicate([]byte(text)); !errors.Is(err, service.InputError) {
			t.Errorf("%s: got %v, %v, want an InputError", text, p, err)
		}
	}
}

func TestKeysThatDifferInCase(t *testing.T) {
	t.Parallel()
	e, err := catalogmodel.ParseJSON([]byte(`{"kind":"a","metadata":{"name":"a","labels":{"a":"1","A":"2"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := query.Terms(e); !errors.Is(err, service.InputError) || !strings.Contains(err.Error(), "metadata.labels.a") {
		t.Errorf("error is %v", err)
	}
}

func TestFields(t *testing.T) {
	t.Parallel()
	e, err := catalogmodel.ParseJSON([]byte(entity))
	if err != nil {
		t.Fatal(err)
	}
	for fields, want := range map[string]string{
		"kind, metadata.name,":                     `{"kind":"Component","metadata":{"name":"Web"}}`,
		"metadata.labels.a.b/c":                    `{"metadata":{"labels":{"a.b/c":"D"}}}`,
		"metadata.nope,nope,metadata.name.x,a.b.c": `{}`,
		"spec,spec.type":                           `{"spec":{"type":"service"}}`,
		"metadata.no":                              `{"metadata":{"no":null}}`,
		"metadata.tags.0":                          `{"metadata":{"tags":["Java"]}}`,
		"metadata.tags.2,metadata.tags.0":          `{"metadata":{"tags":["Java",null,"go"]}}`,
		"metadata.list.1.a,kind,metadata.list.0":   `{"metadata":{"list":[{"a":1},{"a":2}]},"kind":"Component"}`,
		"metadata.tags.3,metadata.tags.x,kind.0":   `{}`,
		"metadata.tags,metadata.tags.1":            `{"metadata":{"tags":["Java","java","go"]}}`,
	} {
		f, err := query.ParseFields(fields)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Select(e).String(); got != want {
			t.Errorf("%s: got %s, want %s", fields, got, want)
		}
	}
	if _, err := query.ParseFields("metadata.tags[0]"); !errors.Is(err, service.InputError) {
		t.Errorf("error is %v, want an InputError", err)
	}
}

func TestNeedle(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		term, value string
		want        bool
	}{
		{"", "", true}, {" ", "a", true}, {"B", "abc", true}, {"d", "abc", false}, {"%", "abc", true}, {"a%c", "xabcx", true}, {"c%a", "abc", false},
		{"a_c", "xaæcx", true}, {"_", "", false}, {"_", "x", true}, {"a_%d", "abcd", true}, {"__", "æ", false},
	} {
		if got := query.NewNeedle(c.term).In(c.value); got != c.want {
			t.Errorf("%q in %q: got %t, want %t", c.term, c.value, got, c.want)
		}
	}
}

func FuzzFilter(f *testing.F) {
	for _, seed := range []string{"kind=component", "a,b=,c=d,c=e", "=x", " , ", "a=b=c", "$all=x", "relations.ownedBy=x"} {
		f.Add(seed)
	}
	e, err := catalogmodel.ParseJSON([]byte(entity))
	if err != nil {
		f.Fatal(err)
	}
	all, err := query.Terms(e)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, filter string) {
		p, err := query.ParseFilter([]string{filter})
		if err != nil {
			if !errors.Is(err, service.InputError) {
				t.Fatal(err)
			}
			return
		}
		query.Match(p, all)
		readAgain(t, p)
	})
}

func FuzzPredicate(f *testing.F) {
	for _, seed := range []string{`{"kind":"a"}`, `{"$all":[{"a":{"$in":[1,true,"x"]}}]}`, `{"relations":{"$contains":{"type":"a","targetRef":{"$in":["b"]}}}}`, `null`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := query.ParsePredicate(text)
		if err != nil && !errors.Is(err, service.InputError) {
			t.Fatal(err)
		}
		if err == nil {
			query.Match(p, nil)
			readAgain(t, p)
		}
	})
}

// readAgain writes a predicate, and reads it.
func readAgain(t *testing.T, p query.Predicate) {
	t.Helper()
	text := query.AppendJSON(nil, p)
	if again, err := query.ParsePredicate(text); err != nil || !reflect.DeepEqual(again, p) {
		t.Errorf("%#v is written as %s and read as %#v, %v", p, text, again, err)
	}
}

func FuzzCursor(f *testing.F) {
	total := 3
	f.Add(query.Cursor{Orders: []query.Order{{Field: "metadata.name", Direction: "asc"}}, Query: query.In{Key: "kind", Values: []string{"a"}},
		Text: &query.Text{Term: "x"}, Position: []string{"a", "b"}, First: []string{"a", "a"}, Total: &total}.Encode())
	f.Add("zzz")
	f.Add("eyJsaW1pdCI6Mywib2Zmc2V0Ijo1fQ==")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := query.ParseCursor(text)
		if err != nil {
			if !errors.Is(err, service.InputError) {
				t.Fatal(err)
			}
			return
		}
		again := c.Encode()
		d, err := query.ParseCursor(again)
		if err != nil {
			t.Fatalf("%s became %s: %v", text, again, err)
		}
		if twice := d.Encode(); twice != again {
			t.Fatalf("%s became %s", again, twice)
		}
	})
}

func FuzzOffset(f *testing.F) {
	f.Add("eyJsaW1pdCI6Mywib2Zmc2V0Ijo1fQ==")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := query.ParseOffset(text); err != nil && !errors.Is(err, service.InputError) {
			t.Fatal(err)
		}
	})
}

package catalogmodel_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/portico-dev/portico/catalogmodel"
)

func parse(t *testing.T, text string) catalogmodel.Entity {
	t.Helper()
	e, err := catalogmodel.ParseJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestEntityIsLossless(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"order of fields":    `{"z":1,"a":{"y":null,"b":[]},"metadata":{}}`,
		"numbers as written": `{"a":[1.50,-0,1e400,12345678901234567890,0.1E-7]}`,
		"text":               `{"a":"<&>\u0000\b\f\n\r\t\"\\é😀` + "\u2028" + `"}`,
		"empty key":          `{"":{"":""}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := parse(t, text).String(); got != text {
				t.Errorf("%s became %s", text, got)
			}
			var decoded struct{ Entities []catalogmodel.Entity }
			if err := json.Unmarshal([]byte(`{"Entities":[null,`+text+`]}`), &decoded); err != nil {
				t.Fatal(err)
			}
			if !decoded.Entities[0].IsZero() || decoded.Entities[1].String() != text {
				t.Errorf("%s became %s", text, decoded.Entities)
			}
		})
	}
}

func TestParseJSONRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`[]`:                        "must be a JSON object, not array",
		`null`:                      "must be a JSON object, not null",
		"{\n \"a\": tru}":           `2:7: unexpected 't' where a value should be`,
		`{"a":1,}`:                  `1:8: unexpected '}' where a key should be`,
		`{"a" 1}`:                   `1:6: unexpected '1' where a colon should be`,
		`{"a":[1 2]}`:               `1:9: unexpected '2' where a comma or ] should be`,
		`{"a":"x`:                   `the text ends before the value does`,
		`{"a":"\x"}`:                `malformed string`,
		"{\"a\":\"\n\"}":            `control character`,
		`{"a":01}`:                  `malformed number "01"`,
		`{} {}`:                     `unexpected '{' after the value`,
		``:                          `the text ends before the value does`,
		strings.Repeat("[", 100000): `nested more than 512 levels deep`,
	} {
		_, err := catalogmodel.ParseJSON([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20s: error %v, want %q", text, err, want)
		}
	}
}

func TestEntityAccessors(t *testing.T) {
	t.Parallel()
	e := parse(t, `{"apiVersion":"v1","kind":"K","metadata":{"name":"N","title":"T","description":"D","uid":"U","etag":"E",
		"annotations":{"a":"1","bad":2},"labels":{"l":""},"tags":["x",5,"y"]},"spec":{"type":"t","list":[{"k":true}]}}`)
	for name, pair := range map[string][2]string{
		"apiVersion": {e.APIVersion(), "v1"}, "kind": {e.Kind(), "K"}, "name": {e.Name(), "N"}, "namespace": {e.Namespace(), "default"},
		"title": {e.Title(), "T"}, "description": {e.Description(), "D"}, "uid": {e.UID(), "U"}, "etag": {e.ETag(), "E"},
		"type": {e.Type(), "t"}, "annotation": {e.Annotation("a"), "1"}, "not a string": {e.Annotation("bad"), ""}, "ref": {e.Ref().String(), "k:default/n"},
		"number": {e.Get("metadata", "tags", "1").String(), "5"}, "absent": {e.Get("spec", "list", "7", "k").String(), ""},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s is %q, want %q", name, pair[0], pair[1])
		}
	}
	if got := e.Annotations(); !reflect.DeepEqual(got, map[string]string{"a": "1"}) {
		t.Errorf("annotations %v", got)
	}
	if got := e.Labels(); !reflect.DeepEqual(got, map[string]string{"l": ""}) {
		t.Errorf("labels %v", got)
	}
	if got := e.Tags(); !reflect.DeepEqual(got, []string{"x", "y"}) {
		t.Errorf("tags %v", got)
	}
	if !e.Get("spec", "list", "0", "k").Bool() {
		t.Error("an element's field is not found")
	}
	if e.Get("spec", "nope").Exists() {
		t.Error("a missing field exists")
	}
}

func TestEntityChanges(t *testing.T) {
	t.Parallel()
	text := catalogmodel.StringValue
	for name, c := range map[string]struct {
		before string
		change func(catalogmodel.Entity) catalogmodel.Entity
		after  string
	}{
		"replaces in place":                            {`{"a":1,"b":2}`, func(e catalogmodel.Entity) catalogmodel.Entity { return e.With(text("x"), "a") }, `{"a":"x","b":2}`},
		"adds at the end, with objects on the way":     {`{"a":1}`, func(e catalogmodel.Entity) catalogmodel.Entity { return e.With(text("x"), "b", "c", "d") }, `{"a":1,"b":{"c":{"d":"x"}}}`},
		"leaves alone what is no object":               {`{"metadata":{"annotations":[]}}`, func(e catalogmodel.Entity) catalogmodel.Entity { return e.WithAnnotation("a", "b") }, `{"metadata":{"annotations":[]}}`},
		"annotates where annotations are null":         {`{"metadata":{"annotations":null}}`, func(e catalogmodel.Entity) catalogmodel.Entity { return e.WithAnnotation("a", "b") }, `{"metadata":{"annotations":{"a":"b"}}}`},
		"does not reach into arrays":                   {`{"a":[{}]}`, func(e catalogmodel.Entity) catalogmodel.Entity { return e.With(text("x"), "a", "0", "b") }, `{"a":[{}]}`},
		"removes":                                      {`{"a":{"b":1,"c":2}}`, func(e catalogmodel.Entity) catalogmodel.Entity { return e.Without("a", "b") }, `{"a":{"c":2}}`},
		"removes nothing":                              {`{"a":1}`, func(e catalogmodel.Entity) catalogmodel.Entity { return e.Without("a", "b").Without("c") }, `{"a":1}`},
		"defaults the namespace, as Backstage puts it": {`{"kind":"K","metadata":{"name":"x"}}`, func(e catalogmodel.Entity) catalogmodel.Entity { return e.WithDefaultNamespace("default") }, `{"metadata":{"namespace":"default","name":"x"},"kind":"K"}`},
		"keeps a namespace":                            {`{"kind":"K","metadata":{"name":"x","namespace":"n"}}`, func(e catalogmodel.Entity) catalogmodel.Entity { return e.WithDefaultNamespace("default") }, `{"kind":"K","metadata":{"name":"x","namespace":"n"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := parse(t, c.before)
			if got := c.change(e).String(); got != c.after {
				t.Errorf("got %s, want %s", got, c.after)
			}
			if e.String() != c.before {
				t.Errorf("the original became %s", e)
			}
		})
	}
}

func TestEntityOf(t *testing.T) {
	t.Parallel()
	e, err := catalogmodel.EntityOf(map[string]any{"kind": "K", "metadata": map[string]any{"name": "x", "tags": []string{"a"}, "n": json.Number("1.0")},
		"spec": struct {
			A int `json:"a"`
		}{5}, "apiVersion": nil, "list": []any{true, 1.5, map[string]string{"b": "\xff", "a": ""}}})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"apiVersion":null,"kind":"K","list":[true,1.5,{"a":"","b":"` + "\uFFFD" + `"}],"metadata":{"n":1.0,"name":"x","tags":["a"]},"spec":{"a":5}}`
	if e.String() != want {
		t.Errorf("got %s, want %s", e, want)
	}
	for _, bad := range []any{nil, "x", []any{}, func() {}, map[string]any{"a": func() {}}} {
		if _, err := catalogmodel.EntityOf(bad); err == nil {
			t.Errorf("%T became an entity", bad)
		}
	}
}

func TestRefText(t *testing.T) {
	t.Parallel()
	var decoded map[catalogmodel.Ref]catalogmodel.Ref
	if err := json.Unmarshal([]byte(`{"Component:x":"user:Y/z"}`), &decoded); err != nil {
		t.Fatal(err)
	}
	if got, err := json.Marshal(decoded); err != nil || string(got) != `{"component:default/x":"user:y/z"}` {
		t.Errorf("%s, %v", got, err)
	}
	a, b := catalogmodel.Ref{Kind: "API", Name: "X"}, catalogmodel.Ref{Kind: "api", Namespace: "Default", Name: "x"}
	if !a.Equal(b) || a.Equal(catalogmodel.Ref{Kind: "API", Name: "y"}) {
		t.Error("refs do not compare as they should")
	}
}

func TestParseLocationRef(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]catalogmodel.LocationRef{
		"url:https://x/y":           {Type: "url", Target: "https://x/y"},
		" file : ./a b ":            {Type: "file", Target: "./a b"},
		"":                          {},
		"url":                       {},
		"url:":                      {},
		":x":                        {},
		"https://x":                 {},
		"url:javascript:x":          {},
		"url: \x01jA\nva\tscript:x": {},
	} {
		got, err := catalogmodel.ParseLocationRef(text)
		if got != want || (err == nil) != (want.Type != "") {
			t.Errorf("%q is %+v, %v; want %+v", text, got, err, want)
		}
	}
	e := parse(t, `{"kind":"K","metadata":{"name":"x"}}`)
	if _, err := e.SourceLocation(); err == nil {
		t.Error("an entity without annotations has a source")
	}
	e = e.WithAnnotation(catalogmodel.AnnotationManagedByLocation, "url:a")
	if l, err := e.SourceLocation(); err != nil || l.String() != "url:a" {
		t.Error(l, err)
	}
	e = e.WithAnnotation(catalogmodel.AnnotationSourceLocation, "url:b")
	if l, err := e.SourceLocation(); err != nil || l.String() != "url:b" {
		t.Error(l, err)
	}
}

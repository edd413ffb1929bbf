package config_test

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
)

// listen is configured by a string or by an object.
type listen struct {
	Host string
	Port int `schema:"min=1,max=65535"`
}

func (l *listen) UnmarshalText(text []byte) error {
	host, port, ok := strings.Cut(string(text), ":")
	if !ok {
		return fmt.Errorf("must be of the form host:port")
	}
	l.Host = host
	_, err := fmt.Sscan(port, &l.Port)
	return err
}

// origins is configured by a string or by an array.
type origins []string

func (o *origins) UnmarshalText(text []byte) error {
	*o = origins{string(text)}
	return nil
}

type inner struct {
	Name string `schema:"required"`
}

type embedded struct{ Shared string }

type settings struct {
	embedded
	Text      string
	Renamed   string `config:"other-name"`
	Ignored   string `config:"-"`
	Number    float64
	Small     uint8
	Flag      bool
	Wait      time.Duration
	TTL       time.Duration `config:"ttl" schema:"milliseconds,min=1s"`
	Addr      netip.Addr
	Listen    listen
	Origins   origins
	List      []inner
	Map       map[string]int
	Any       any
	Optional  *inner
	Pointer   *int
	Level     string   `schema:"enum=debug|info|warn|error"`
	URL       string   `config:"url" schema:"format=uri"`
	Names     []string `schema:"min=1,max=2,pattern=^[a-z,]+$"`
	unexposed string   //lint:ignore U1000 that it is left alone is what the test is about
}

func TestDecode(t *testing.T) {
	t.Parallel()
	seven := 7
	tests := map[string]struct {
		yaml string
		want settings
	}{
		"nothing":               {yaml: `{}`, want: settings{}},
		"names":                 {yaml: `{text: a, other-name: b, ignored: c, Ignored: c, unexposed: d, shared: e, embedded: {shared: f}}`, want: settings{Text: "a", Renamed: "b", embedded: embedded{Shared: "e"}}},
		"numbers":               {yaml: `{number: 1.5, small: 255, pointer: 7}`, want: settings{Number: 1.5, Small: 255, Pointer: &seven}},
		"numbers in strings":    {yaml: `{number: "1.5", small: " 2 ", map: {a: "3"}}`, want: settings{Number: 1.5, Small: 2, Map: map[string]int{"a": 3}}},
		"numbers as strings":    {yaml: `{text: 0123, other-name: 1e3}`, want: settings{Text: "0123", Renamed: "1e3"}},
		"booleans":              {yaml: `{flag: true}`, want: settings{Flag: true}},
		"booleans in strings":   {yaml: `{flag: "Yes"}`, want: settings{Flag: true}},
		"durations":             {yaml: `{wait: 90s, ttl: 1500}`, want: settings{Wait: 90 * time.Second, TTL: 1500 * time.Millisecond}},
		"texts":                 {yaml: `{addr: "::1", listen: "localhost:80", origins: a}`, want: settings{Addr: netip.IPv6Loopback(), Listen: listen{"localhost", 80}, Origins: origins{"a"}}},
		"objects and arrays":    {yaml: `{listen: {host: h, port: "81"}, origins: [a, b]}`, want: settings{Listen: listen{"h", 81}, Origins: origins{"a", "b"}}},
		"lists":                 {yaml: `{list: [{name: a}, {name: b}], names: [x]}`, want: settings{List: []inner{{"a"}, {"b"}}, Names: []string{"x"}}},
		"keys with dots":        {yaml: `{map: {"example.com/a": 1}}`, want: settings{Map: map[string]int{"example.com/a": 1}}},
		"anything":              {yaml: `{any: [1, {a: null}]}`, want: settings{Any: []any{int64(1), map[string]any{"a": nil}}}},
		"pointers":              {yaml: `{optional: {name: x}}`, want: settings{Optional: &inner{"x"}}},
		"keys that are unknown": {yaml: `{something: 1, nothing: {}}`, want: settings{}},
		"limits":                {yaml: `{level: warn, url: "https://example.com/a", names: [a, b]}`, want: settings{Level: "warn", URL: "https://example.com/a", Names: []string{"a", "b"}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := mustLoad(t, map[string]string{"app-config.yaml": "todo: " + test.yaml})
			var got settings
			if err := s.Decode("todo", &got); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}

func TestDecodeErrors(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		`{text: true}`:          `todo.text (app-config.yaml:1:14): must be a string, is a boolean: put it in quotes`,
		`{text: [a]}`:           `todo.text (app-config.yaml:1:8): must be a string, is an array`,
		`{number: x}`:           `todo.number (app-config.yaml:1:16): must be a number, is a string`,
		`{small: 256}`:          `todo.small (app-config.yaml:1:15): is out of range`,
		`{small: -1}`:           `todo.small (app-config.yaml:1:15): is out of range`,
		`{small: 1.5}`:          `todo.small (app-config.yaml:1:15): must be a whole number`,
		`{flag: maybe}`:         `todo.flag (app-config.yaml:1:14): must be true or false, is a string`,
		`{wait: 5}`:             `todo.wait (app-config.yaml:1:14): must be a duration with a unit, such as 30s, 5m or {minutes: 5}`,
		`{wait: [5]}`:           `todo.wait (app-config.yaml:1:8): must be a duration with a unit, such as 30s, 5m or {minutes: 5}; is an array`,
		`{wait: {minute: 5}}`:   `todo.wait.minute (app-config.yaml:1:23): is not a unit of time: those are years, months, weeks, days, hours, minutes, seconds, milliseconds; did you mean "minutes"?`,
		`{wait: {}}`:            `todo.wait (app-config.yaml:1:8): must have at least one of years, months, weeks, days, hours, minutes, seconds, milliseconds`,
		`{wait: {hours: x}}`:    `todo.wait.hours (app-config.yaml:1:22): must be a number, is a string`,
		`{ttl: 5}`:              `todo.ttl (app-config.yaml:1:13): must be at least 1s`,
		`{addr: x}`:             `todo.addr (app-config.yaml:1:14): ParseAddr("x"): unable to parse IP`,
		`{listen: x}`:           `todo.listen (app-config.yaml:1:16): must be of the form host:port`,
		`{listen: [x]}`:         `todo.listen (app-config.yaml:1:8): must be a string or an object, is an array`,
		`{listen: {port: 0}}`:   `todo.listen.port (app-config.yaml:1:23): must be at least 1`,
		`{listen: {prot: 8}}`:   `todo.listen.prot (app-config.yaml:1:23): is not a known key; did you mean "port"?`,
		`{origins: {}}`:         `todo.origins (app-config.yaml:1:8): must be a string or an array, is an object`,
		`{list: [{}]}`:          `todo.list[0].name (app-config.yaml:1:15): is required, but isn't there`,
		`{list: [null]}`:        `todo.list[0] (app-config.yaml:1:15): must be an object, is null`,
		`{list: {}}`:            `todo.list (app-config.yaml:1:8): must be an array, is an object`,
		`{map: [1]}`:            `todo.map (app-config.yaml:1:8): must be an object, is an array`,
		`{map: {a.b: x}}`:       `todo.map.a.b (app-config.yaml:1:19): must be a whole number, is a string`,
		`{optional: {}}`:        `todo.optional.name (app-config.yaml:1:8): is required, but isn't there`,
		`{level: wran}`:         `todo.level (app-config.yaml:1:15): must be one of debug, info, warn, error; did you mean "warn"?`,
		`{url: "not a uri"}`:    `todo.url (app-config.yaml:1:13): must be a valid uri`,
		`{names: []}`:           `todo.names (app-config.yaml:1:8): must be at least 1 entries`,
		`{names: [a, b, c]}`:    `todo.names (app-config.yaml:1:8): must be at most 2 entries`,
		`{names: [A]}`:          `todo.names[0] (app-config.yaml:1:16): must match ^[a-z,]+$`,
		`{oTher_name: x}`:       `todo.oTher_name (app-config.yaml:1:20): is not a known key; did you mean "other-name"?`,
		`{text: [], number: x}`: "todo.text (app-config.yaml:1:8): must be a string, is an array\ntodo.number (app-config.yaml:1:26): must be a number, is a string",
		`5`:                     `todo (app-config.yaml:1:7): must be an object, is a number`,
	}
	for yaml, want := range tests {
		t.Run(yaml, func(t *testing.T) {
			t.Parallel()
			s := mustLoad(t, map[string]string{"app-config.yaml": "todo: " + yaml + "\n"})
			former := settings{Text: "former", Small: 9}
			got := former
			if p := problems(t, s.Decode("todo", &got)); strings.Join(p, "\n") != want {
				t.Errorf("got  %s\nwant %s", strings.Join(p, "\n"), want)
			}
			if !reflect.DeepEqual(got, former) {
				t.Errorf("the value has changed: %+v", got)
			}
		})
	}
}

func TestDecodeKeepsWhatIsNotConfigured(t *testing.T) {
	t.Parallel()
	s := mustLoad(t, map[string]string{"app-config.yaml": "todo: {listen: {port: 1}, optional: {}, list: [{}]}"})
	type row struct{ A, B int }
	got := struct {
		Listen   listen
		Other    string
		Optional *row
		Map      map[string]int
	}{Listen: listen{"host", 5}, Other: "other", Optional: &row{1, 2}, Map: map[string]int{"a": 1}}
	before := got.Optional
	if err := s.Decode("todo", &got); err != nil {
		t.Fatal(err)
	}
	if got.Listen != (listen{"host", 1}) || got.Other != "other" || *got.Optional != (row{1, 2}) || got.Map["a"] != 1 {
		t.Errorf("got %+v", got)
	}
	if got.Optional == before {
		t.Error("the former pointer is still in use")
	}
	if err := s.Decode("nothing.here", &got); err != nil || got.Other != "other" {
		t.Errorf("an absent key: %+v, %v", got, err)
	}
}

func TestDecodeRequired(t *testing.T) {
	t.Parallel()
	s := mustLoad(t, map[string]string{"app-config.yaml": "backend:\n  key: ${KEY}\n"})
	var got struct {
		Key   string `schema:"required"`
		Inner inner
		Maybe *inner
	}
	want := []string{
		"backend.inner.name (app-config.yaml:1:1): is required, but isn't there",
		"backend.key (app-config.yaml:2:8): is required, but the environment variable KEY isn't set",
	}
	if p := problems(t, s.Decode("backend", &got)); !slices.Equal(p, want) {
		t.Errorf("got %q, want %q", p, want)
	}
	var absent inner
	if p := problems(t, s.Decode("a.b", &absent)); !slices.Equal(p, []string{"a.b.name (app-config.yaml): is required, but isn't there"}) {
		t.Errorf("got %q", p)
	}
}

func TestDecodeGivesCopies(t *testing.T) {
	t.Parallel()
	s := config.Static(map[string]any{"a": map[string]any{"b": []any{1}}})
	var first, second any
	if err := s.Decode("a", &first); err != nil {
		t.Fatal(err)
	}
	first.(map[string]any)["b"].([]any)[0] = "changed"
	if err := s.Decode("a", &second); err != nil || !reflect.DeepEqual(second, map[string]any{"b": []any{int64(1)}}) {
		t.Errorf("got %v, %v", second, err)
	}
}

func TestPaths(t *testing.T) {
	t.Parallel()
	s := mustLoad(t, map[string]string{"app-config.yaml": "a: {b: {c: 1}, n: null, e: {}, f: false}\nx.y: 1\n"})
	for key, want := range map[string]bool{"": true, "a": true, "a.b.c": true, "a.b.d": false, "a.n": false, "a.e": true, "a.f": true,
		"a.b.c.d": false, "b": false, "x.y": false, "A": false} {
		if got := s.Has(key); got != want {
			t.Errorf("Has(%q) is %t", key, got)
		}
	}
	var n int
	if p := problems(t, s.Decode("a.f.g", &n)); !slices.Equal(p, []string{"a.f (app-config.yaml:1:35): must be an object, is a boolean"}) {
		t.Errorf("got %q", p)
	}
}

func TestDurations(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		`5m`: 5 * time.Minute, `1h30m`: 90 * time.Minute, `1.5h`: 90 * time.Minute, `250ms`: 250 * time.Millisecond, `"2 seconds"`: 2 * time.Second,
		`1d`: day, `2 weeks`: 14 * day, `1 Hour`: time.Hour, `3 mins`: 3 * time.Minute, `1 month`: 30 * day, `1y`: 365 * day, `0s`: 0,
		`10 msecs`: 10 * time.Millisecond, `PT5M`: 5 * time.Minute, `P1DT2H`: 26 * time.Hour, `P2W`: 14 * day, `PT0.5S`: 500 * time.Millisecond,
		`{minutes: 5}`: 5 * time.Minute, `{hours: 1, seconds: "30"}`: time.Hour + 30*time.Second, `{days: 0.5}`: 12 * time.Hour,
		`{years: 1, months: 1, weeks: 1, milliseconds: 1}`: 402*day + time.Millisecond,
	} {
		var got time.Duration
		if err := mustLoad(t, map[string]string{"app-config.yaml": "d: " + text}).Decode("d", &got); err != nil || got != want {
			t.Errorf("%s is %s, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{`""`, `"5"`, `5`, `-5m`, `PT-5M`, `-PT5M`, `P`, `P5`, `5 parsecs`, `1e9y`, `{minutes: -1}`, `true`, `99999999999999999999h`} {
		var got time.Duration
		if err := mustLoad(t, map[string]string{"app-config.yaml": "d: " + text}).Decode("d", &got); err == nil {
			t.Errorf("%s is %s", text, got)
		}
	}
}

func TestSchemaOf(t *testing.T) {
	t.Parallel()
	type settings struct {
		URL     string `config:"url" schema:"required,format=uri" doc:"Where it is."`
		Token   string `schema:"visibility=secret,min=8"`
		Wait    time.Duration
		Listen  listen
		Names   []string          `schema:"pattern=^a,b$"`
		Headers map[string]string `schema:"deepVisibility=secret"`
		Addr    *netip.Addr
		Any     any
	}
	s := mustLoad(t, map[string]string{"app-config.yaml": `
todo:
  url: not a url
  token: short
  wait: {minutes: 1, secnds: 2}
  listen: {port: 70000}
  names: [b]
  headers: {A: s3cret, B: 5}
  addr: "::1"
  any: [{}]
`})
	schemas := service.ConfigSchemas{{Feature: "plugin todo", Schema: config.SchemaOf[settings]("todo")}}
	want := []string{
		`todo.url (app-config.yaml:3:8): must be a valid uri; is "not a url"`,
		`todo.token (app-config.yaml:4:10): must have at least 8 characters`,
		`todo.wait.secnds (app-config.yaml:5:30): is not a known key; did you mean "seconds"?`,
		`todo.listen.port (app-config.yaml:6:18): must be at most 65535; is 70000`,
		`todo.names[0] (app-config.yaml:7:11): must match ^a,b$; is "b"`,
	}
	if got := problems(t, s.Validate(schemas)); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	empty := mustLoad(t, nil)
	if got := problems(t, empty.Validate(schemas)); !slices.Equal(got, []string{"todo: is required, but isn't there"}) {
		t.Errorf("got %q", got)
	}
	good := config.Static(map[string]any{"todo": map[string]any{"url": "https://example.com", "headers": map[string]any{"A": "s3cret", "B": 5}}})
	if err := good.Validate(schemas); err != nil {
		t.Fatal(err)
	}
	if got := good.Secrets(); !slices.Equal(got, []string{"5", "s3cret"}) {
		t.Errorf("secrets are %q", got)
	}
}

func TestWrongTags(t *testing.T) {
	t.Parallel()
	for name, schema := range map[string]func(string) []byte{
		`there is no schema option "requird"`: config.SchemaOf[struct {
			A string `schema:"requird"`
		}],
		`there is no format "urli"`: config.SchemaOf[struct {
			A string `schema:"format=urli"`
		}],
		`a chan int can't be configured`: config.SchemaOf[struct{ A chan int }],
	} {
		func() {
			defer func() {
				if r := fmt.Sprint(recover()); !strings.Contains(r, name) {
					t.Errorf("got %s, want %s", r, name)
				}
			}()
			schema("a")
		}()
	}
}

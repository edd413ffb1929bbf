package config_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/portico-dev/portico/service/config"
)

func TestLoad(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		files   map[string]string
		env     []string
		targets []string
		want    string
	}{
		"nothing is needed": {want: `{}`},
		"an empty file":     {files: map[string]string{"app-config.yaml": "# nothing\n"}, want: `{}`},
		"local files win, and those of the environment over those": {
			files: map[string]string{
				"app-config.yaml":            "{a: 1, b: 1, c: 1, d: 1, e: 1}",
				"app-config.prod.yaml":       "{b: 2, c: 2, d: 2}",
				"app-config.eu.yaml":         "{c: 3, d: 3}",
				"app-config.local.yaml":      "{d: 4, e: 4}",
				"app-config.prod.local.yaml": "{e: 5}",
				"app-config.test.yaml":       "{a: 9}",
			},
			env:  []string{"BACKSTAGE_ENV=prod, eu"},
			want: `{"a":1,"b":2,"c":3,"d":4,"e":5}`,
		},
		"with targets, only those are read, in their order": {
			files:   map[string]string{"app-config.yaml": "a: 1", "one.yaml": "{b: 1, c: 1}", "etc/two.yaml": "c: 2"},
			targets: []string{"one.yaml", "etc/two.yaml"},
			want:    `{"b":1,"c":2}`,
		},
		"objects are merged, arrays and others replaced, null removes": {
			files: map[string]string{
				"app-config.yaml":       "o: {a: 1, b: {c: 2}}\nl: [1, 2, 3]\nn: {x: 1}\ns: text\nz: 1\n",
				"app-config.local.yaml": "o: {b: {d: 3}}\nl: [4]\nn: null\ns: {t: 1}\nz:\n",
			},
			want: `{"l":[4],"o":{"a":1,"b":{"c":2,"d":3}},"s":{"t":1}}`,
		},
		"null stays in arrays": {files: map[string]string{"app-config.yaml": "l: [1, null]"}, want: `{"l":[1,null]}`},
		"scalars are those of YAML 1.2": {
			files: map[string]string{"app-config.yaml": "v: [on, yes, 010, 0x10, 0o17, 1_000, 2026-01-31, 1e3, .5, +1, '1', !!str 1, ~, TRUE, .inf, 12345678901234567890]"},
			want:  `{"v":["on","yes",10,16,15,"1_000","2026-01-31",1000,0.5,1,"1","1",null,true,".inf",12345678901234567000]}`,
		},
		"anchors, aliases and merge keys": {
			files: map[string]string{"app-config.yaml": "a: &a {x: 1, y: 1}\nb: *a\nc: {y: 2, <<: *a}\nd: {<<: [{z: 3, x: 3}, *a]}\n"},
			want:  `{"a":{"x":1,"y":1},"b":{"x":1,"y":1},"c":{"x":1,"y":2},"d":{"x":3,"y":1,"z":3}}`,
		},
		"environment variables": {
			files: map[string]string{"app-config.yaml": `
set: ${SET}
trimmed: "<${ BLANKS }>"
several: ${SET}-${SET}
unset: ${UNSET}
partly: x${UNSET}
list: ["${SET}", "${UNSET}", last]
empty: "${EMPTY}"
default: ${UNSET:-a default}
default of empty: ${EMPTY:-a default}
no default: ${UNSET:-}
escaped: $${SET} and $$${SET}
plain: $SET $ {SET} ${SET
env: {$env: SET}
no env: {$env: UNSET}
number: ${NUMBER}
nested: {deep: [{value: "${SET}"}]}
keys are left alone: {"${SET}": 1}
`},
			env:  []string{"SET=value", "BLANKS=  in  ", "EMPTY=", "NUMBER=7007"},
			want: `{"default":"a default","default of empty":"a default","empty":"","env":"value","escaped":"${SET} and $${SET}","keys are left alone":{"${SET}":1},"list":["value","last"],"nested":{"deep":[{"value":"value"}]},"number":"7007","plain":"$SET $ {SET} ${SET","set":"value","several":"value-value","trimmed":"<in>"}`,
		},
		"a reference to nothing leaves what came before": {
			files: map[string]string{"app-config.yaml": "a: before", "app-config.local.yaml": "a: ${UNSET}"},
			want:  `{"a":"before"}`,
		},
		"files": {
			files: map[string]string{
				"app-config.yaml":  "a: {$file: secrets/a.txt}\nb: {$file: 'secrets/${NAME}.txt'}\n",
				"secrets/a.txt":    "  ${NAME}\nsecond \n\n",
				"secrets/name.txt": "n",
			},
			env:  []string{"NAME=name"},
			want: `{"a":"  ${NAME}\nsecond","b":"n"}`,
		},
		"includes": {
			files: map[string]string{
				"app-config.yaml":  "all: {$include: sub/all.yaml}\npart: {$include: 'sub/all.yaml#o.p'}\njson: {$include: sub/j.json#a}\nnone: {$include: sub/all.yaml#no.such}\ntwice: [{$include: sub/all.yaml#s}, {$include: sub/all.yaml#s}]\n",
				"sub/all.yaml":     "s: ${NAME}\no: {p: {q: {$file: here.txt}}}\nmore: {$include: deeper/x.yml}\n",
				"sub/here.txt":     "here",
				"sub/j.json":       "{\n\t\"a\": [1, \"${NAME}\"]\n}",
				"sub/deeper/x.yml": "d: {$file: ../here.txt}",
			},
			env:  []string{"NAME=name"},
			want: `{"all":{"more":{"d":"here"},"o":{"p":{"q":"here"}},"s":"name"},"json":[1,"name"],"part":{"q":"here"},"twice":["name","name"]}`,
		},
		"variables that are configuration": {
			files: map[string]string{"app-config.yaml": "a: {b: 1, c: 1}\nl: [1]"},
			env: []string{"APP_CONFIG_a_b=2", "APP_CONFIG_l=[2,{\"x\":null}]", "APP_CONFIG_text=some text", "APP_CONFIG_o={\"p\":true}",
				"APP_CONFIG_kebab-case_x:y=1", "APP_CONFIG_empty=", "APP_CONFIG_ref=${HOME}", "APP_CONFIG_f=1.5"},
			want: `{"a":{"b":2,"c":1},"f":1.5,"kebab-case":{"x:y":1},"l":[2,{"x":null}],"o":{"p":true},"ref":"${HOME}","text":"some text"}`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := config.Load(t.Context(), config.Options{Dir: write(t, test.files), Env: append(test.env, "_="), Targets: test.targets})
			if err != nil {
				t.Fatal(err)
			}
			var all map[string]any
			if err := s.Decode("", &all); err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(all)
			if err != nil {
				t.Fatal(err)
			}
			if text := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(string(got)); text != test.want {
				t.Errorf("got  %s\nwant %s", text, test.want)
			}
		})
	}
}

func TestLoadErrors(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", 200) + strings.Repeat("]", 200)
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 9 {
		n := string(rune('0' + i))
		next := string(rune('1' + i))
		bomb += "a" + next + ": &a" + next + " [" + strings.Repeat("*a"+n+", ", 9) + "*a" + n + "]\n"
	}
	tests := map[string]struct {
		files   map[string]string
		env     []string
		targets []string
		want    []string
	}{
		"a target that isn't there": {targets: []string{"no.yaml"}, want: []string{"no.yaml: there is no such file"}},
		"a target that is a directory": {
			files: map[string]string{"dir/x": ""}, targets: []string{"dir"}, want: []string{"dir: can't be read: is a directory"}},
		"a URL of another kind": {targets: []string{"ftp://example.com/a.yaml"},
			want: []string{"ftp://example.com/a.yaml: can't be read: URLs of configuration begin with http:// or https://"}},
		"wrong indentation": {
			files: map[string]string{"app-config.yaml": "a:\n  b: 1\n c: 2\n"},
			want:  []string{"app-config.yaml:3:2: is not valid YAML: while parsing a block mapping: did not find expected key"},
		},
		"a tab": {
			files: map[string]string{"app-config.yaml": "a:\n\tb: 1\n"},
			want: []string{"app-config.yaml:2:1: is not valid YAML: while scanning for the next token: found character that cannot start any token " +
				"(lines are indented with spaces, this one has a tab)"},
		},
		"a reference within braces": {
			files: map[string]string{"app-config.yaml": "a: {b: ${X}}\n"},
			want: []string{"app-config.yaml:1:9: is not valid YAML: while parsing a flow mapping: did not find expected ',' or '}' " +
				"(within braces and brackets, ${…} must be in quotes)"},
		},
		"an unquoted asterisk, which may begin a secret": {
			files: map[string]string{"app-config.yaml": "a: 1\npassword: *s3cret\n"},
			want:  []string{"app-config.yaml:2:11: is not valid YAML: the alias stands for nothing; a text that begins with * must be in quotes"},
		},
		"two documents": {
			files: map[string]string{"app-config.yaml": "a: 1\n---\nb: 1\n"},
			want:  []string{"app-config.yaml:2:1: a second YAML document begins here, but there may be only one"},
		},
		"a list": {
			files: map[string]string{"app-config.yaml": "- a\n"},
			want:  []string{"app-config.yaml:1:1: must be an object with the keys of the configuration, is an array"},
		},
		"a key twice": {
			files: map[string]string{"app-config.yaml": "a:\n  b: 1\n  c: 1\n  b: 2\n"},
			want:  []string{"a.b (app-config.yaml:4:3): is there twice; the other one is at line 2"},
		},
		"a key that is a list": {
			files: map[string]string{"app-config.yaml": "a: {[1]: 2}\n"},
			want:  []string{"a (app-config.yaml:1:5): keys must be names, this one is an object or an array"},
		},
		"an unknown tag": {
			files: map[string]string{"app-config.yaml": "a: !secret x\nb: !!int x\n"},
			want: []string{"a (app-config.yaml:1:4): has the YAML tag !secret, which is not known here",
				"b (app-config.yaml:2:4): is tagged !!int, but isn't one"},
		},
		"references": {
			files: map[string]string{"app-config.yaml": "a: {$file: no.txt}\nb: {$env: X, c: 1}\nc: [{$include: x.txt}]\nd: {$include: [1]}\ne: {$file: '${UNSET}'}\nf: {$include: no.yaml}\n"},
			want: []string{
				"a (app-config.yaml:1:12): $file: no.txt: there is no such file",
				"b (app-config.yaml:2:5): $env stands for the whole value, so there can be no other keys beside it",
				"c[0] (app-config.yaml:3:16): $include: x.txt: only .yaml, .yml and .json files can be included",
				"d (app-config.yaml:4:15): $include must be followed by a string",
				"e (app-config.yaml:5:12): $file needs the environment variable UNSET, which isn't set",
				"f (app-config.yaml:6:15): $include: no.yaml: there is no such file",
			},
		},
		"a mistake in an included file": {
			files: map[string]string{"app-config.yaml": "a: {$include: sub/i.yaml}\n", "sub/i.yaml": "x:\n  y: {$file: no}\n"},
			want:  []string{"a.x.y (sub/i.yaml:2:14): $file: no: there is no such file"},
		},
		"an include that goes round": {
			files: map[string]string{"app-config.yaml": "a: {$include: b.yaml}\n", "b.yaml": "x: {$include: c.yaml#y}\n", "c.yaml": "y: {$include: b.yaml}\n"},
			want:  []string{"a.x (c.yaml:1:15): $include goes round in a circle: b.yaml → c.yaml#y → b.yaml"},
		},
		"a file that includes itself": {
			files: map[string]string{"app-config.yaml": "a: {$include: app-config.yaml}\n"},
			want:  []string{"a (app-config.yaml:1:15): $include goes round in a circle: app-config.yaml → app-config.yaml"},
		},
		"an alias in what it stands for": {
			files: map[string]string{"app-config.yaml": "a: &a [1, *a]\n"},
			want:  []string{"a[1] (app-config.yaml:1:11): the alias *a stands within what it stands for"},
		},
		"too deep": {
			files: map[string]string{"app-config.yaml": "a: " + deep + "\n"},
			want:  []string{"a" + strings.Repeat("[0]", 100) + " (app-config.yaml:1:104): is nested more than 100 levels deep"},
		},
		"too much": {
			files: map[string]string{"app-config.yaml": bomb},
			want:  []string{"the configuration has more than 200000 values; are there aliases of aliases?"},
		},
		"variables that aren't configuration": {
			env: []string{"APP_CONFIG_a=1", "APP_CONFIG_a_b=2", "APP_CONFIG_c__d=3", "APP_CONFIG_n=null", "APP_CONFIG_o={\"x\":1}", "APP_CONFIG_o_x=2"},
			want: []string{
				"environment variable APP_CONFIG_a_b: sets a key below a, for which environment variable APP_CONFIG_a sets a value that isn't an object",
				`environment variable APP_CONFIG_c__d: names no key: "" must be a name of letters and digits`,
				"environment variable APP_CONFIG_n: must not be null",
				"environment variable APP_CONFIG_o_x: sets o.x, which environment variable APP_CONFIG_o sets too",
			},
		},
		"everything at once, by file": {
			files:   map[string]string{"a.yaml": "x: 1\nx: 2\n", "b.yaml": "[\n"},
			targets: []string{"b.yaml", "a.yaml", "no.yaml"},
			want: []string{"x (a.yaml:2:1): is there twice; the other one is at line 1",
				"b.yaml:2:1: is not valid YAML: while parsing a flow node: did not find expected node content", "no.yaml: there is no such file"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Load(t.Context(), config.Options{Dir: write(t, test.files), Env: append(test.env, "_="), Targets: test.targets})
			got := problems(t, err)
			if name == "too much" && len(got) == 1 { // The place is where the limit is reached.
				_, got[0], _ = strings.Cut(got[0], "): ")
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}

func TestFileTooLarge(t *testing.T) {
	t.Parallel()
	dir := write(t, map[string]string{"app-config.yaml": "a: {$file: huge}\n"})
	f, err := os.Create(filepath.Join(dir, "huge"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errorsOf(f.Truncate(1<<40), f.Close()); err != nil {
		t.Fatal(err)
	}
	_, err = config.Load(t.Context(), config.Options{Dir: dir})
	if got, want := problems(t, err), []string{"a (app-config.yaml:1:12): $file: huge: is larger than 8 MiB"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func errorsOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func TestURL(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/good.yaml":
			_, _ = w.Write([]byte("a: ${X}\nb: {$env: X}\n"))
		case "/file.yaml":
			_, _ = w.Write([]byte("a: {$file: /etc/passwd}\nb: {$include: x.yaml}\n"))
		case "/large.yaml":
			line := []byte(strings.Repeat("#", 1023) + "\n")
			for range 10 << 10 {
				if _, err := w.Write(line); err != nil {
					return
				}
			}
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	load := func(path string) (*config.Store, error) {
		return config.Load(t.Context(), config.Options{Dir: t.TempDir(), Env: []string{"X=x"}, Targets: []string{server.URL + path},
			HTTPClient: server.Client()})
	}
	s, err := load("/good.yaml?token=s3cret")
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]string
	if err := s.Decode("", &got); err != nil || !reflect.DeepEqual(got, map[string]string{"a": "x", "b": "x"}) {
		t.Errorf("got %v, %v", got, err)
	}
	for path, want := range map[string][]string{
		"/file.yaml": {
			"a (" + server.URL + "/file.yaml:1:5): $file is only possible in files, not in a configuration from a URL",
			"b (" + server.URL + "/file.yaml:2:5): $include is only possible in files, not in a configuration from a URL"},
		"/large.yaml":           {server.URL + "/large.yaml: is larger than 8 MiB"},
		"/no.yaml?token=s3cret": {server.URL + "/no.yaml: can't be read: the server answers 404 Not Found"},
	} {
		if _, err := load(path); !slices.Equal(problems(t, err), want) {
			t.Errorf("%s: got %q, want %q", path, problems(t, err), want)
		}
	}
}

func TestOverridesAndStatic(t *testing.T) {
	t.Parallel()
	dir := write(t, map[string]string{"app-config.yaml": "a: {b: 1, c: 1}\n"})
	s, err := config.Load(t.Context(), config.Options{Dir: dir, Env: []string{"APP_CONFIG_a_b=2"},
		Overrides: map[string]any{"a": map[string]any{"b": 3}, "l": []string{"x"}}})
	if err != nil {
		t.Fatal(err)
	}
	var got any
	if err := s.Decode("", &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"a": map[string]any{"b": int64(3), "c": int64(1)}, "l": []any{"x"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	static := config.Static(want)
	if err := static.Decode("", &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("static: got %v, %v", got, err)
	}
	if err := static.Reload(t.Context()); err != nil || !static.Has("a.b") {
		t.Errorf("a static configuration changes when it is reloaded: %v", err)
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	s := mustLoad(t, map[string]string{"app-config.yaml": "b:\n  - x: 1\n  - {}\na: ${X}\n", "app-config.local.yaml": "c: {d.e: true}\n"},
		"X=x", "APP_CONFIG_b=[5]")
	want := []config.Value{
		{Key: "a", Value: "x", Source: "app-config.yaml:4:4"},
		{Key: "b[0]", Value: int64(5), Source: "environment variable APP_CONFIG_b"},
		{Key: "c.d.e", Value: true, Source: "app-config.local.yaml:1:10"},
	}
	if got := s.Values(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

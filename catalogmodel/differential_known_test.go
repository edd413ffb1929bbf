package catalogmodel_test

import "strings"

// knownYAML has the texts that ReadYAML reads otherwise than Backstage does, by the reason why. All are far from what people write.
var knownYAML = map[string][]string{
	"Backstage makes a text of a key that is a collection; here it is an error": {
		"[a, b]: a\n",
		"{a: 1}: a\n",
		"{a, b: }: a\n",
		"[a: 1]: a\n",
		"{\"a\":1}: a\n",
		"{a:1}: a\n",
		"[a,]: a\n",
		"? a: a\n",
		"a: {{ x }}\n",
		"a:\n  b: {{ x }}\nc: d\n",
		"{{ x }}: a\n",
		"a: [{{ x }}]\n",
		"[1, [2, {a: [3]}]]: a\n",
		"{ ui:autofocus: true }: a\n",
		"{ a: \"x\", \"b\": 'y' }: a\n",
		"? [a]\n  : b: a\n",
		"a: [? [a]\n  : b]\n",
		"[a]: b\n",
		"{a: 1}: b\n",
		"x: {[a]: b}\n",
	},
	"control characters are not allowed in YAML, though Backstage lets them pass": {
		"a: \a\n",
		"a:\n  b: \a\nc: d\n",
		"\a: a\n",
		"a: [\a]\n",
	},
	"these tags mean something to Backstage's parser, and are refused here": {
		"a: !!str [b]\n",
		"a: !!timestamp 2001-01-01\n",
		"a:\n  b: !!timestamp 2001-01-01\nc: d\n",
		"!!timestamp 2001-01-01: a\n",
		"a: [!!timestamp 2001-01-01]\n",
		"x: !!binary aGk=\n",
		"x: !!set {a, b}\n",
	},
	"here the core schema decides, whatever the tag's spelling": {
		"a: !!float 5\n",
		"a:\n  b: !!float 5\nc: d\n",
		"a: [!!float 5]\n",
		"a: ! 5\n",
		"a:\n  b: ! 5\nc: d\n",
		"a: [! 5]\n",
		"a: !\n",
		"a:\n  b: !\nc: d\n",
		"a: [!]\n",
	},
	"a malformed document does not take the next one with it": {
		"a: \"x\n---\nb: 2\n",
	},
	"JavaScript has more numbers than JSON": {
		".inf: a\n",
		"-.Inf: a\n",
		"+.INF: a\n",
		".nan: a\n",
		".NaN: a\n",
		".NAN: a\n",
	},
	"a key that is there already in another spelling": {
		"1: a\n\"1\": b\n",
	},
	"the parser is more lenient with indentation and white space": {
		"a:\n  b: \"a\\\n  b\"\nc: d\n",
		"a: \"x\ny\"\n",
		"a: [1,\n2]\n",
	},
	"a key may have more than 1,024 characters": {
		strings.Repeat("a", 2000) + ": b\n",
	},
	"a directive without a document": {
		"%a: a\n",
	},
}

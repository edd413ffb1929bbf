package database

import (
	"reflect"
	"strings"
	"testing"
)

func TestSplitStatements(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		file string
		want []statement
	}{
		"nothing":                {" \n-- only a comment;\n/* and ; another */ # and one more;", nil},
		"one without an end":     {"SELECT 1", []statement{{"SELECT 1", 1}}},
		"empty ones":             {";;\n;SELECT 1;;", []statement{{"SELECT 1", 2}}},
		"lines":                  {"-- a\n\nSELECT\n1;\nSELECT 2", []statement{{"SELECT\n1", 3}, {"SELECT 2", 5}}},
		"quotes":                 {`SELECT ';', ";", 'it''s;', 'a\';b', "x\\"; SELECT 2`, []statement{{`SELECT ';', ";", 'it''s;', 'a\';b', "x\\"`, 1}, {"SELECT 2", 1}}},
		"names":                  {"SELECT `a;\\`; SELECT `b``;`", []statement{{"SELECT `a;\\`", 1}, {"SELECT `b``;`", 1}}},
		"comments":               {"SELECT 1 -- a;\n+ 1 /* ; */ # ;\n;", []statement{{"SELECT 1 -- a;\n+ 1 /* ; */ # ;", 1}}},
		"two signs":              {"SELECT 5--1;SELECT 2", []statement{{"SELECT 5--1", 1}, {"SELECT 2", 1}}},
		"what depends on MySQL":  {"/*!50100 SET a = 1; */; SELECT 2", []statement{{"/*!50100 SET a = 1; */", 1}, {"SELECT 2", 1}}},
		"another delimiter":      {"DELIMITER //\nBEGIN; END//\ndelimiter ;\nSELECT 1;", []statement{{"BEGIN; END", 2}, {"SELECT 1", 4}}},
		"text that is no end":    {"SELECT 'a\nDELIMITER //\n'; SELECT 2", []statement{{"SELECT 'a\nDELIMITER //\n'", 1}, {"SELECT 2", 3}}},
		"a quote without an end": {"SELECT 'a; SELECT 2", []statement{{"SELECT 'a; SELECT 2", 1}}},
		"a comment without end":  {"SELECT 1; /* a; SELECT 2", []statement{{"SELECT 1", 1}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := splitStatements(test.file); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func FuzzSplitStatements(f *testing.F) {
	f.Add("CREATE TABLE a (b text); -- c;\nINSERT INTO a VALUES ('d;''e\\'');")
	f.Add("DELIMITER $$\nBEGIN; END$$\nDELIMITER ;\n/* ; */ # ;\n--")
	f.Add("/*")
	f.Add("/*/;*/'`\"\\")
	f.Fuzz(func(t *testing.T, file string) {
		rest, line := file, 1
		for _, s := range splitStatements(file) {
			before, after, found := strings.Cut(rest, s.text)
			for found && line+strings.Count(before, "\n") < s.line { // the same text stood in a comment before
				skip := before + s.text[:1]
				line += strings.Count(skip, "\n")
				rest = rest[len(skip):]
				before, after, found = strings.Cut(rest, s.text)
			}
			if !found || line+strings.Count(before, "\n") != s.line {
				t.Fatalf("the statement %q of line %d is not there", s.text, s.line)
			}
			if s.text != strings.TrimSpace(s.text) || s.text == "" {
				t.Fatalf("the statement %q has blanks around it", s.text)
			}
			line += strings.Count(before+s.text, "\n")
			rest = after
		}
		if !strings.ContainsAny(file, "'\"`#-/") && !strings.Contains(strings.ToLower(file), "delimiter") {
			var want []string
			for part := range strings.SplitSeq(file, ";") {
				if part = strings.TrimSpace(part); part != "" {
					want = append(want, part)
				}
			}
			var got []string
			for _, s := range splitStatements(file) {
				got = append(got, s.text)
			}
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("got %q, want %q", got, want)
			}
		}
	})
}

func FuzzWrites(f *testing.F) {
	for _, query := range []string{"SELECT 1", "/* a */ -- b\n insert into a values (1)", "WITH a AS (SELECT 1) DELETE FROM b", "/*", "--", ";("} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		upper := strings.ToUpper(query)
		reads := strings.Contains(upper, "SELECT") || strings.Contains(upper, "VALUES") || strings.Contains(upper, "EXPLAIN") ||
			strings.Contains(upper, "PRAGMA") || strings.Contains(upper, "WITH")
		if !writes(query) && !reads {
			t.Errorf("%q counts as reading", query)
		}
	})
}

package logger

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const mask = "***"

// redactor replaces secrets. A nil one does nothing.
type redactor struct{ replacer *strings.Replacer }

func newRedactor(secrets []string) *redactor {
	var forms []string
	for _, s := range secrets {
		// A single letter would make logs unreadable and is no secret.
		if s = strings.TrimSpace(s); len(s) <= 1 {
			continue
		}
		quoted := strconv.Quote(s)
		encoded, _ := json.Marshal(s)
		// Errors quote what they are about, URLs escape it.
		forms = append(forms, s, quoted[1:len(quoted)-1], string(encoded[1:len(encoded)-1]), url.QueryEscape(s), url.PathEscape(s))
	}
	if len(forms) == 0 {
		return nil
	}
	// The longest first, since one secret may begin with another.
	slices.SortFunc(forms, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	pairs := make([]string, 0, 2*len(forms))
	for _, f := range slices.Compact(forms) {
		pairs = append(pairs, f, mask)
	}
	return &redactor{replacer: strings.NewReplacer(pairs...)}
}

func (r *redactor) record(record slog.Record) slog.Record {
	if r == nil {
		return record
	}
	clean := slog.NewRecord(record.Time, record.Level, r.replacer.Replace(record.Message), record.PC)
	record.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(slog.Attr{Key: a.Key, Value: r.value(a.Value)})
		return true
	})
	return clean
}

func (r *redactor) attrs(attrs []slog.Attr) []slog.Attr {
	if r == nil || len(attrs) == 0 {
		return attrs
	}
	clean := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		clean[i] = slog.Attr{Key: a.Key, Value: r.value(a.Value)}
	}
	return clean
}

func (r *redactor) value(v slog.Value) slog.Value {
	v = v.Resolve()
	switch v.Kind() {
	case slog.KindString:
		return slog.StringValue(r.replacer.Replace(v.String()))
	case slog.KindGroup:
		return slog.GroupValue(r.attrs(v.Group())...)
	case slog.KindAny:
		return r.any(v)
	case slog.KindInt64, slog.KindUint64, slog.KindFloat64:
		if text := v.String(); r.replacer.Replace(text) == mask {
			return slog.StringValue(mask)
		}
	}
	return v
}

// any redacts a value by what would be logged of it.
func (r *redactor) any(v slog.Value) slog.Value {
	switch x := v.Any().(type) {
	case nil, *slog.Source, time.Time:
		return v
	case error:
		text := x.Error()
		if clean := r.replacer.Replace(text); clean != text {
			return slog.StringValue(clean)
		}
		return v
	}
	encoded, err := json.Marshal(v.Any())
	if err != nil {
		return slog.StringValue(r.replacer.Replace(fmt.Sprintf("%+v", v.Any())))
	}
	decoder := json.NewDecoder(bytes.NewReader(encoded))
	decoder.UseNumber()
	var decoded any
	if err := decoder.Decode(&decoded); err != nil {
		return slog.StringValue(r.replacer.Replace(string(encoded)))
	}
	if clean, changed := r.json(decoded); changed {
		return slog.AnyValue(clean)
	}
	return v
}

func (r *redactor) json(value any) (clean any, changed bool) {
	switch value := value.(type) {
	case string:
		clean := r.replacer.Replace(value)
		return clean, clean != value
	case json.Number:
		if r.replacer.Replace(value.String()) == mask {
			return mask, true
		}
	case []any:
		for i, v := range value {
			c, ch := r.json(v)
			value[i], changed = c, changed || ch
		}
		return value, changed
	case map[string]any:
		object := make(map[string]any, len(value))
		for k, v := range value {
			key := r.replacer.Replace(k)
			c, ch := r.json(v)
			object[key], changed = c, changed || ch || key != k
		}
		return object, changed
	}
	return value, changed
}

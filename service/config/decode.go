package config

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

// Decode decodes the value at key into what dst points to, as service.Config has it. The error is an [*Error] with everything that is
// wrong; then dst is as it was. It panics if dst isn't a pointer, or if what it points to can't be configured: a channel, a wrong tag.
//
// Structs take objects, slices arrays, maps objects of any keys. A type that implements encoding.TextUnmarshaler takes a string, a
// number or a boolean by that, besides what its kind takes otherwise: so a struct with the method is configured by a string or by an
// object. A pointer stays nil if there is nothing. A string takes numbers, as they are written; numbers and booleans take strings that
// read as such, since references give strings. A time.Duration is an object of years, months, weeks, days, hours, minutes, seconds and
// milliseconds, ISO 8601, or text like `1h30m` or `5 minutes`. A type with several forms has a method UnmarshalConfig(decode func(dst any)
// error) error, which decodes the value into whatever has the form that it takes it for.
//
// Keys that no field has are ignored, unless they look like a misspelt field: those are errors. A field of type [Origin] is told where its
// struct was written.
//
// Tags of the form `schema:"required,min=1"` have these options:
//
//	required            there must be a value; in a struct that isn't there itself, only if it isn't behind a pointer
//	format=uri          a string has a format of JSON Schema
//	enum=a|b            a string is one of these
//	min=1, max=5        bounds of a number or duration, of the length of a string, of the size of an array or object
//	milliseconds        a duration may be a plain number of milliseconds
//	visibility=secret   who may see the value: frontend, backend or secret; deepVisibility=… covers everything below it as well
//	pattern=^a+$        a string matches; the last option, since it may have commas
func (s *Store) Decode(key string, dst any) error {
	target := reflect.ValueOf(dst)
	if target.Kind() != reflect.Pointer || target.IsNil() {
		panic(fmt.Sprintf("config: Decode(%q) needs a pointer, not a %T", key, dst))
	}
	snap := s.current.Load()
	value, pointer, err := snap.lookup(key)
	if err != nil {
		return err
	}
	result := reflect.New(target.Type().Elem()).Elem()
	result.Set(target.Elem())
	d := &decoder{snapshot: snap}
	d.decode(value, pointer, result, field{})
	if err := joined(d.problems); err != nil {
		return err
	}
	target.Elem().Set(result)
	return nil
}

type decoder struct {
	*snapshot
	problems []Problem
}

func (d *decoder) fail(pointer, format string, args ...any) {
	d.suggest(pointer, "", format, args...)
}

func (d *decoder) suggest(pointer, suggestion, format string, args ...any) {
	p := d.where(pointer).problem(pointer, format, args...)
	p.Suggestion = suggestion
	d.problems = append(d.problems, p)
}

// where is the origin of the value, or of the nearest object around it that is there.
func (s *snapshot) where(pointer string) origin {
	for {
		if at, ok := s.origins[pointer]; ok {
			return at
		}
		if absent, ok := s.absent[pointer]; ok || pointer == "" {
			return absent.at
		}
		pointer = parent(pointer)
	}
}

// shown is a value for messages, if it may be shown.
func (s *snapshot) shown(pointer string, value any) string {
	if s.checked == nil || s.checked.secret[pointer] {
		return ""
	}
	switch value := value.(type) {
	case string:
		if len(value) > 40 {
			return ""
		}
		return fmt.Sprintf("; is %q", value)
	case bool, int64, float64:
		return fmt.Sprintf("; is %v", value)
	}
	return ""
}

func (s *snapshot) missing(pointer string) string {
	if absent, ok := s.absent[pointer]; ok {
		return "is required, but " + absent.why
	}
	return "is required, but isn't there"
}

// decode decodes a value that is nil if there is none.
func (d *decoder) decode(value any, pointer string, dst reflect.Value, f field) {
	if value == nil {
		d.decodeNothing(pointer, dst, f)
		return
	}
	if dst.Kind() == reflect.Pointer {
		next := reflect.New(dst.Type().Elem())
		if !dst.IsNil() {
			next.Elem().Set(dst.Elem())
		}
		d.decode(value, pointer, next.Elem(), f)
		dst.Set(next)
		return
	}
	if dst.Type() == durationType {
		duration := d.duration(value, pointer, f)
		dst.SetInt(int64(duration))
		d.bounds(pointer, "", float64(duration), f)
		return
	}
	if u, ok := dst.Addr().Interface().(unmarshaler); ok {
		d.unmarshal(u, value, pointer)
		return
	}
	if text, ok := d.text(value, pointer); ok && dst.Addr().Type().Implements(textUnmarshalerType) {
		if err := dst.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text)); err != nil {
			if d.checked != nil && d.checked.secret[pointer] {
				err = errors.New("is not valid") // The error may quote the secret.
			}
			d.fail(pointer, "%s", err)
		}
		return
	}
	switch dst.Kind() {
	case reflect.Interface:
		if dst.NumMethod() == 0 {
			dst.Set(reflect.ValueOf(clone(value)))
			return
		}
	case reflect.Struct:
		if object, ok := value.(map[string]any); ok {
			d.object(object, pointer, dst)
		} else {
			d.wrong(value, pointer, dst.Type())
		}
		return
	case reflect.Map:
		if dst.Type().Key().Kind() == reflect.String {
			d.mapping(value, pointer, dst, f)
			return
		}
	case reflect.Slice:
		d.slice(value, pointer, dst, f)
		return
	case reflect.String:
		if text, ok := d.text(value, pointer); ok && !isBool(value) {
			dst.SetString(text)
			d.string(text, pointer, f)
		} else {
			d.wrong(value, pointer, dst.Type())
		}
		return
	case reflect.Bool:
		if b, ok := boolean(value); ok {
			dst.SetBool(b)
		} else {
			d.wrong(value, pointer, dst.Type())
		}
		return
	default:
		if isNumber(dst.Kind()) {
			d.number(value, pointer, dst, f)
			return
		}
	}
	panic(fmt.Sprintf("config: %s can't be decoded into a %s", keyOf(pointer), dst.Type()))
}

// unmarshaler is a type that decides how it is decoded.
type unmarshaler interface {
	UnmarshalConfig(decode func(dst any) error) error
}

func (d *decoder) unmarshal(u unmarshaler, value any, pointer string) {
	before := len(d.problems)
	err := u.UnmarshalConfig(func(dst any) error {
		from := len(d.problems)
		d.decode(value, pointer, reflect.ValueOf(dst).Elem(), field{})
		return joined(d.problems[from:])
	})
	if err != nil && len(d.problems) == before { // otherwise it is about those
		d.fail(pointer, "%s", err)
	}
}

func (d *decoder) decodeNothing(pointer string, dst reflect.Value, f field) {
	if f.required {
		d.fail(pointer, "%s", d.missing(pointer))
		return
	}
	if dst.Kind() == reflect.Struct && !dst.Addr().Type().Implements(textUnmarshalerType) && !dst.Addr().Type().Implements(unmarshalerType) {
		d.object(nil, pointer, dst)
	}
}

func (d *decoder) wrong(value any, pointer string, t reflect.Type) {
	d.fail(pointer, "must be %s, is %s%s", expected(t), describe(value), quoteHint(value, t))
}

func quoteHint(value any, t reflect.Type) string {
	if isBool(value) && t.Kind() == reflect.String {
		return ": put it in quotes"
	}
	return ""
}

// expected is what a type takes, in words.
func expected(t reflect.Type) string {
	switch {
	case t == durationType:
		return "a duration"
	case reflect.PointerTo(t).Implements(textUnmarshalerType) && t.Kind() == reflect.Struct && len(fieldsOf(t)) > 0:
		return "a string or an object"
	case reflect.PointerTo(t).Implements(textUnmarshalerType) && t.Kind() == reflect.Slice:
		return "a string or an array"
	case reflect.PointerTo(t).Implements(textUnmarshalerType):
		return "a string"
	case t.Kind() == reflect.Pointer:
		return expected(t.Elem())
	case isInteger(t.Kind()):
		return "a whole number"
	case isNumber(t.Kind()):
		return "a number"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string"
	case reflect.Slice:
		return "an array"
	}
	return "an object"
}

func (d *decoder) object(object map[string]any, pointer string, dst reflect.Value) {
	fields := fieldsOf(dst.Type())
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
		d.decode(object[f.name], child(pointer, f.name), dst.FieldByIndex(f.index), f)
	}
	d.setOrigin(pointer, dst)
	for name := range object {
		if slices.Contains(names, name) {
			continue
		}
		if near := Nearest(name, names); near != "" && object[near] == nil {
			d.suggest(child(pointer, name), near, "is not a known key")
		}
	}
}

// setOrigin tells a struct where it was written, if it has a field for that.
func (d *decoder) setOrigin(pointer string, dst reflect.Value) {
	for i := range dst.NumField() {
		if dst.Field(i).Type() == originType && dst.Type().Field(i).IsExported() {
			at := d.where(pointer)
			dst.Field(i).Set(reflect.ValueOf(Origin{Key: keyOf(pointer), File: at.file, Line: at.line, Column: at.column}))
		}
	}
}

func (d *decoder) mapping(value any, pointer string, dst reflect.Value, f field) {
	object, ok := value.(map[string]any)
	if !ok {
		d.wrong(value, pointer, dst.Type())
		return
	}
	t := dst.Type()
	result := reflect.MakeMapWithSize(t, len(object))
	for name, v := range object {
		element := reflect.New(t.Elem()).Elem()
		d.decode(v, child(pointer, name), element, field{})
		result.SetMapIndex(reflect.ValueOf(name).Convert(t.Key()), element)
	}
	dst.Set(result)
	d.bounds(pointer, "keys", float64(len(object)), f)
}

func (d *decoder) slice(value any, pointer string, dst reflect.Value, f field) {
	array, ok := value.([]any)
	if !ok {
		d.wrong(value, pointer, dst.Type())
		return
	}
	result := reflect.MakeSlice(dst.Type(), len(array), len(array))
	for i, v := range array {
		at := item(pointer, i)
		if v == nil && result.Index(i).Kind() != reflect.Pointer && result.Index(i).Kind() != reflect.Interface {
			d.fail(at, "must be %s, is null", expected(dst.Type().Elem()))
			continue
		}
		// What the tag says of strings is about each of them.
		d.decode(v, at, result.Index(i), field{format: f.format, enum: f.enum, pattern: f.pattern})
	}
	dst.Set(result)
	d.bounds(pointer, "entries", float64(len(array)), f)
}

func (d *decoder) string(text, pointer string, f field) {
	if f.enum != nil && !slices.Contains(f.enum, text) {
		d.suggest(pointer, Nearest(text, f.enum), "must be one of %s%s", strings.Join(f.enum, ", "), d.shown(pointer, text))
	}
	if f.format != "" && !jsonschema.Formats[f.format](text) {
		d.fail(pointer, "must be a valid %s", f.format)
	}
	if f.pattern != nil && !f.pattern.MatchString(text) {
		d.fail(pointer, "must match %s", f.pattern)
	}
	d.bounds(pointer, "characters", float64(len([]rune(text))), f)
}

func (d *decoder) number(value any, pointer string, dst reflect.Value, f field) {
	n, ok := number(value)
	if !ok {
		d.fail(pointer, "must be %s, is %s", expected(dst.Type()), describe(value))
		return
	}
	if isInteger(dst.Kind()) && n != math.Trunc(n) {
		d.fail(pointer, "must be a whole number")
		return
	}
	fits := true
	switch {
	case dst.CanInt():
		i, exact := integer(value)
		if fits = exact && !dst.OverflowInt(i); fits {
			dst.SetInt(i)
		}
	case dst.CanUint():
		i, exact := integer(value)
		if fits = exact && i >= 0 && !dst.OverflowUint(uint64(i)); fits {
			dst.SetUint(uint64(i))
		}
	default:
		if fits = !dst.OverflowFloat(n); fits {
			dst.SetFloat(n)
		}
	}
	if !fits {
		d.fail(pointer, "is out of range%s", d.shown(pointer, value))
		return
	}
	d.bounds(pointer, "", n, f)
}

// bounds checks min and max.
func (d *decoder) bounds(pointer, unit string, n float64, f field) {
	if unit != "" {
		unit = " " + unit
	}
	if f.min != "" {
		if bound, _ := f.bound(f.min); n < bound {
			d.fail(pointer, "must be at least %s%s", f.min, unit)
		}
	}
	if f.max != "" {
		if bound, _ := f.bound(f.max); n > bound {
			d.fail(pointer, "must be at most %s%s", f.max, unit)
		}
	}
}

// text is a scalar as text. Numbers are as they were written.
func (d *decoder) text(value any, pointer string) (string, bool) {
	switch value := value.(type) {
	case string:
		return value, true
	case bool:
		return strconv.FormatBool(value), true
	case int64, float64:
		return d.written(value, pointer), true
	}
	return "", false
}

func (s *snapshot) written(value any, pointer string) string {
	if at := s.origins[pointer]; at.text != "" {
		return at.text
	}
	if f, ok := value.(float64); ok {
		return strconv.FormatFloat(f, 'g', -1, 64)
	}
	return fmt.Sprint(value)
}

func isBool(value any) bool { _, ok := value.(bool); return ok }

func isInteger(k reflect.Kind) bool { return k >= reflect.Int && k <= reflect.Uintptr }

func isNumber(k reflect.Kind) bool {
	return isInteger(k) || k == reflect.Float32 || k == reflect.Float64
}

// number reads a number, also in a string.
func number(value any) (float64, bool) {
	switch value := value.(type) {
	case int64:
		return float64(value), true
	case float64:
		return value, true
	case string:
		value = strings.TrimSpace(value)
		if !float.MatchString(value) {
			return 0, false
		}
		n, err := strconv.ParseFloat(value, 64)
		return n, err == nil
	}
	return 0, false
}

func integer(value any) (int64, bool) {
	switch value := value.(type) {
	case int64:
		return value, true
	case string:
		if i, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64); err == nil {
			return i, true
		}
	}
	n, _ := number(value)
	i := int64(n)
	return i, float64(i) == n && math.Abs(n) < 1<<63
}

// boolean reads a boolean, also one in words.
func boolean(value any) (result, ok bool) {
	switch value := value.(type) {
	case bool:
		return value, true
	case int64:
		return value == 1, value == 0 || value == 1
	case string:
		switch strings.ToLower(strings.TrimSpace(value)) {
		case "y", "yes", "true", "1", "on":
			return true, true
		case "n", "no", "false", "0", "off":
			return false, true
		}
	}
	return false, false
}

// clone copies a value, so that who gets it may change it.
func clone(value any) any {
	switch value := value.(type) {
	case map[string]any:
		object := make(map[string]any, len(value))
		for k, v := range value {
			object[k] = clone(v)
		}
		return object
	case []any:
		array := make([]any, len(value))
		for i, v := range value {
			array[i] = clone(v)
		}
		return array
	}
	return value
}

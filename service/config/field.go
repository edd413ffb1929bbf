package config

import (
	"encoding"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

// field is what the tags of a struct field say.
type field struct {
	name  string
	index []int
	typ   reflect.Type
	doc   string

	required     bool
	milliseconds bool
	format       string
	enum         []string
	min, max     string
	pattern      *regexp.Regexp
	visibility   string
	deep         string
}

var (
	durationType        = reflect.TypeFor[time.Duration]()
	textUnmarshalerType = reflect.TypeFor[encoding.TextUnmarshaler]()
	unmarshalerType     = reflect.TypeFor[unmarshaler]()
	originType          = reflect.TypeFor[Origin]()
)

// fieldsOf are the fields of a struct type that can be configured. It panics if a tag is wrong: that is a mistake of the program.
func fieldsOf(t reflect.Type) []field {
	var fields []field
	for _, sf := range reflect.VisibleFields(t) {
		if !sf.IsExported() || sf.Type == originType || viaPointer(t, sf.Index) {
			continue
		}
		name, tagged := sf.Tag.Lookup("config")
		if sf.Anonymous && !tagged && sf.Type.Kind() == reflect.Struct {
			continue
		}
		if name == "-" {
			continue
		}
		if name == "" {
			first, size := utf8.DecodeRuneInString(sf.Name)
			name = string(unicode.ToLower(first)) + sf.Name[size:]
		}
		f := field{name: name, index: sf.Index, typ: sf.Type, doc: sf.Tag.Get("doc")}
		if err := f.constraints(sf.Tag.Get("schema")); err != nil {
			panic(fmt.Sprintf("config: field %s of %s: %s", sf.Name, t, err))
		}
		fields = append(fields, f)
	}
	return fields
}

// viaPointer tells whether a promoted field may be unreachable, or is one of a struct that is a field of its own.
func viaPointer(t reflect.Type, index []int) bool {
	for _, i := range index[:len(index)-1] {
		if t.Kind() != reflect.Struct {
			return true
		}
		sf := t.Field(i)
		if _, named := sf.Tag.Lookup("config"); named || sf.Type.Kind() != reflect.Struct {
			return true
		}
		t = sf.Type
	}
	return false
}

func (f *field) constraints(tag string) error {
	for tag != "" {
		var option string
		// A pattern may have commas, so it is the last.
		if strings.HasPrefix(tag, "pattern=") {
			option, tag = tag, ""
		} else {
			option, tag, _ = strings.Cut(tag, ",")
		}
		name, value, _ := strings.Cut(option, "=")
		var err error
		switch name {
		case "required":
			f.required = true
		case "milliseconds":
			f.milliseconds = true
		case "format":
			if f.format = value; jsonschema.Formats[value] == nil {
				err = fmt.Errorf("there is no format %q", value)
			}
		case "enum":
			f.enum = strings.Split(value, "|")
		case "min":
			f.min = value
			_, err = f.bound(value)
		case "max":
			f.max = value
			_, err = f.bound(value)
		case "pattern":
			f.pattern, err = regexp.Compile(value)
		case "visibility", "deepVisibility":
			if !slices.Contains(visibilities, value) {
				err = fmt.Errorf("there is no %s %q", name, value)
			}
			if name == "visibility" {
				f.visibility = value
			} else {
				f.deep = value
			}
		default:
			err = fmt.Errorf("there is no schema option %q", name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// bound is the number that a limit stands for: nanoseconds for durations.
func (f *field) bound(text string) (float64, error) {
	if f.typ == durationType {
		d, err := time.ParseDuration(text)
		return float64(d), err
	}
	return strconv.ParseFloat(text, 64)
}

package config

import (
	"maps"
	"slices"
)

// Value is a value of the configuration and where it comes from.
type Value struct {
	// Key is the path of the value.
	Key string
	// Value is nil, a bool, an int64, a float64, a string, or an array or object without anything in it. It is "***" for a secret.
	Value any
	// Source is the file with line and column, or tells the environment variable.
	Source string
	// Secret tells whether a schema declares the value as secret.
	Secret bool
}

// Values are all values, ordered by key. Secrets are known, and hidden, once the configuration has been validated.
func (s *Store) Values() []Value {
	snap := s.current.Load()
	var values []Value
	var add func(value any, pointer string)
	add = func(value any, pointer string) {
		switch v := value.(type) {
		case map[string]any:
			for _, name := range slices.Sorted(maps.Keys(v)) {
				add(v[name], child(pointer, name))
			}
			if len(v) > 0 {
				return
			}
		case []any:
			for i, element := range v {
				add(element, item(pointer, i))
			}
			if len(v) > 0 {
				return
			}
		}
		secret := snap.checked != nil && snap.checked.secret[pointer]
		if secret {
			value = "***"
		}
		values = append(values, Value{Key: keyOf(pointer), Value: clone(value), Source: snap.where(pointer).String(), Secret: secret})
	}
	for _, name := range slices.Sorted(maps.Keys(snap.values)) {
		add(snap.values[name], child("", name))
	}
	return values
}

// Frontend is the part of the configuration that schemas declare as visible in the frontend. It is empty before Validate.
func (s *Store) Frontend() map[string]any {
	snap := s.current.Load()
	if snap.checked == nil {
		return map[string]any{}
	}
	// An object or array is there if something in it is, or if it is visible itself.
	var visible func(value any, pointer string) (any, bool)
	visible = func(value any, pointer string) (any, bool) {
		is := snap.checked.visible[pointer]
		switch value := value.(type) {
		case map[string]any:
			object := map[string]any{}
			for name, v := range value {
				if v, ok := visible(v, child(pointer, name)); ok {
					object[name] = v
				}
			}
			return object, is || len(object) > 0
		case []any:
			array := []any{}
			for i, v := range value {
				if v, ok := visible(v, item(pointer, i)); ok {
					array = append(array, v)
				}
			}
			return array, is || len(array) > 0
		}
		return value, is
	}
	object, _ := visible(snap.values, "")
	return object.(map[string]any)
}

package config

import (
	"strconv"
	"strings"
)

// Values are found by JSON Pointers (RFC 6901), since names may contain dots, and shown to people by keys.

func child(pointer, name string) string {
	if strings.ContainsAny(name, "~/") {
		name = strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
	}
	return pointer + "/" + name
}

func item(pointer string, i int) string { return pointer + "/" + strconv.Itoa(i) }

func parent(pointer string) string {
	return pointer[:max(0, strings.LastIndexByte(pointer, '/'))]
}

// segments are the names that a pointer goes through.
func segments(pointer string) []string {
	if pointer == "" {
		return nil
	}
	parts := strings.Split(pointer[1:], "/")
	for i, p := range parts {
		if strings.Contains(p, "~") {
			parts[i] = strings.ReplaceAll(strings.ReplaceAll(p, "~1", "/"), "~0", "~")
		}
	}
	return parts
}

// keyOf is how messages name the value at pointer: "backend.auth.keys[0].secret".
func keyOf(pointer string) string {
	var b strings.Builder
	for _, s := range segments(pointer) {
		if n, err := strconv.Atoi(s); err == nil && n >= 0 && b.Len() > 0 {
			b.WriteString("[" + s + "]")
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(s)
	}
	return b.String()
}

package config

import (
	"regexp"
	"strings"
)

var reference = regexp.MustCompile(`\$?\$\{[^{}]*\}`)

// substitute replaces the references to environment variables in text. It returns the name of a variable that isn't set instead, if
// there is one without a default.
func substitute(text string, env func(string) (string, bool)) (result, unset string) {
	if !strings.Contains(text, "${") {
		return text, ""
	}
	result = reference.ReplaceAllStringFunc(text, func(match string) string {
		if strings.HasPrefix(match, "$$") {
			return match[1:]
		}
		name, fallback, _ := strings.Cut(match[2:len(match)-1], ":-")
		name, fallback = strings.TrimSpace(name), strings.TrimSpace(fallback)
		value, ok := env(name)
		if strings.Contains(match, ":-") && value == "" {
			value, ok = fallback, fallback != ""
		}
		if !ok && unset == "" {
			unset = name
		}
		return value
	})
	if unset != "" {
		return "", unset
	}
	return result, ""
}

package config

// Substitute resolves references to the variables of env.
func Substitute(text string, env map[string]string) (result, unset string) {
	return substitute(text, func(name string) (string, bool) { v, ok := env[name]; return v, ok })
}

// Escape writes a text so that it stands for itself.
func Escape(text string) string {
	return reference.ReplaceAllStringFunc(text, func(match string) string { return "$" + match })
}

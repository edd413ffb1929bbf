package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// parseYAML parses a document. The node is nil if there is nothing in it.
func parseYAML(file string, content []byte) (*yaml.Node, error) {
	loader := yaml.NewDecoder(bytes.NewReader(content))
	var document yaml.Node
	if err := loader.Decode(&document); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		return nil, joined([]Problem{yamlProblem(file, content, err)})
	}
	var second yaml.Node
	switch err := loader.Decode(&second); {
	case errors.Is(err, io.EOF):
	case err != nil:
		return nil, joined([]Problem{yamlProblem(file, content, err)})
	default:
		at := origin{file: file, line: second.Line, column: second.Column}
		return nil, joined([]Problem{at.problem("", "a second YAML document begins here, but there may be only one")})
	}
	if document.Kind != yaml.DocumentNode || len(document.Content) == 0 {
		return nil, nil
	}
	return document.Content[0], nil
}

func yamlProblem(file string, content []byte, err error) Problem {
	at := origin{file: file}
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	var load *yaml.LoadError
	if errors.As(err, &load) {
		message = load.Message
		at.line, at.column = load.Mark.Line, load.Mark.Column
		if load.ContextMsg != "" {
			message = load.ContextMsg + ": " + message
		}
	}
	if strings.HasPrefix(message, "unknown anchor") {
		// The message of the library has the name, which may be a secret that begins with an asterisk.
		message = "the alias stands for nothing; a text that begins with * must be in quotes"
	}
	message = "is not valid YAML: " + message
	if lines := bytes.Split(content, []byte("\n")); at.line > 0 && at.line <= len(lines) {
		switch line := lines[at.line-1]; {
		case bytes.ContainsRune(indentation(line), '\t'):
			message += " (lines are indented with spaces, this one has a tab)"
		case strings.Contains(message, "a flow ") && bytes.Contains(line, []byte("${")):
			message += " (within braces and brackets, ${…} must be in quotes)"
		}
	}
	return at.problem("", "%s", message)
}

func indentation(line []byte) []byte {
	return line[:len(line)-len(bytes.TrimLeft(line, " \t"))]
}

var (
	decimal = regexp.MustCompile(`^[-+]?[0-9]+$`)
	float   = regexp.MustCompile(`^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`)
)

// scalar is the value of a scalar by the core schema of YAML 1.2 (section 10.3.2): nil, a bool, an int64, a float64 or a string. What
// stands for infinity or no number there is a string, since JSON has neither.
func scalar(n *yaml.Node) (any, error) {
	text := n.Value
	tag := ""
	if n.Style&yaml.TaggedStyle != 0 {
		tag = n.ShortTag()
	}
	if tag == "!!str" || tag == "" && n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return text, nil
	}
	value := plain(text)
	var ok bool
	switch tag {
	case "":
		ok = true
	case "!!null":
		ok = value == nil
	case "!!bool":
		_, ok = value.(bool)
	case "!!int":
		_, ok = value.(int64)
	case "!!float":
		if i, isInt := value.(int64); isInt {
			value = float64(i)
		}
		_, ok = value.(float64)
	default:
		return nil, fmt.Errorf("has the YAML tag %s, which is not known here", tag)
	}
	if !ok {
		return nil, fmt.Errorf("is tagged %s, but isn't one", tag)
	}
	return value, nil
}

func plain(text string) any {
	switch text {
	case "", "~", "null", "Null", "NULL":
		return nil
	case "true", "True", "TRUE":
		return true
	case "false", "False", "FALSE":
		return false
	}
	c := text[0]
	if c != '-' && c != '+' && c != '.' && (c < '0' || c > '9') {
		return text
	}
	if digits, ok := strings.CutPrefix(text, "0x"); ok {
		if i, err := strconv.ParseInt(digits, 16, 64); err == nil && digits[0] != '-' && digits[0] != '+' {
			return i
		}
		return text
	}
	if digits, ok := strings.CutPrefix(text, "0o"); ok {
		if i, err := strconv.ParseInt(digits, 8, 64); err == nil && digits[0] != '-' && digits[0] != '+' {
			return i
		}
		return text
	}
	if decimal.MatchString(text) {
		if i, err := strconv.ParseInt(text, 10, 64); err == nil {
			return i
		}
	}
	if float.MatchString(text) {
		if f, err := strconv.ParseFloat(text, 64); err == nil {
			return f
		}
	}
	return text
}

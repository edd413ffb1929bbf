package catalogmodel

import (
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// scalar resolves a scalar by the core schema of YAML 1.2 (section 10.3.2). Tags of one's own leave a string.
func scalar(n *yaml.Node) (Value, error) {
	if n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle|yaml.TaggedStyle) == 0 {
		return plainScalar(n.Value), nil
	}
	if n.Style&yaml.TaggedStyle == 0 || !strings.HasPrefix(n.Tag, "!!") {
		return StringValue(n.Value), nil
	}
	v := plainScalar(n.Value)
	want := String
	switch n.Tag {
	case "!!str":
		return StringValue(n.Value), nil
	case "!!null":
		want = Null
	case "!!bool":
		want = Boolean
	case "!!int", "!!float":
		want = Number
	default:
		return Value{}, fmt.Errorf("the tag %s is not supported", n.Tag)
	}
	if v.Type() != want {
		return Value{}, fmt.Errorf("%q is not of type %s", n.Value, n.Tag)
	}
	return v, nil
}

func plainScalar(s string) Value {
	switch s {
	case "", "~", "null", "Null", "NULL":
		return Value{head: head(Null)}
	case "true", "True", "TRUE":
		return boolValue(true)
	case "false", "False", "FALSE":
		return boolValue(false)
	}
	if c := s[0]; c == '.' || c == '-' || c == '+' || c >= '0' && c <= '9' {
		if literal, ok := coreNumber(s); ok {
			return literal
		}
	}
	return StringValue(s)
}

func number(literal string) Value { return Value{head: head(Number), text: literal} }

// coreNumber reads a number of the core schema. Literals that JSON has as well are kept as written.
func coreNumber(s string) (Value, bool) {
	if isJSONNumber(s) {
		return number(s), true
	}
	if digits, ok := strings.CutPrefix(s, "0o"); ok {
		return radix(digits, 8)
	}
	if digits, ok := strings.CutPrefix(s, "0x"); ok {
		return radix(digits, 16)
	}
	sign, unsigned := "", s
	if s[0] == '-' || s[0] == '+' {
		sign, unsigned = strings.TrimPrefix(s[:1], "+"), s[1:]
	}
	switch unsigned {
	case ".inf", ".Inf", ".INF":
		return Value{head: head(Null)}, true
	case ".nan", ".NaN", ".NAN":
		return Value{head: head(Null)}, len(unsigned) == len(s)
	}
	// What is left to mend: zeros in front, and no digit on one side of the point.
	whole, rest := cutDigits(unsigned)
	fraction := ""
	if after, ok := strings.CutPrefix(rest, "."); ok {
		fraction, rest = cutDigits(after)
	}
	if whole == "" && fraction == "" {
		return Value{}, false
	}
	literal := strings.TrimLeft(whole, "0")
	if literal == "" {
		literal = "0"
	}
	if fraction != "" {
		literal += "." + fraction
	}
	literal = sign + literal + rest
	return number(literal), isJSONNumber(literal)
}

func radix(digits string, base int) (Value, bool) {
	if digits == "" || digits[0] == '-' || digits[0] == '+' {
		return Value{}, false
	}
	if n, err := strconv.ParseUint(digits, base, 64); err == nil {
		return number(strconv.FormatUint(n, 10)), true
	}
	return Value{}, false
}

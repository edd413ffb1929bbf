package catalogmodel

import (
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// scalar resolves a scalar by the core schema of YAML 1.2 (section 10.3.2), to the tag of a value and its text. Tags of one's own leave a string.
func scalar(n *yaml.Node) (tag byte, text string, err error) {
	if n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle|yaml.TaggedStyle) == 0 {
		tag, text = plainScalar(n.Value)
		return tag, text, nil
	}
	if n.Style&yaml.TaggedStyle == 0 || !strings.HasPrefix(n.Tag, "!!") {
		return byte(String), n.Value, nil
	}
	tag, text = plainScalar(n.Value)
	want := String
	switch n.Tag {
	case "!!str":
		return byte(String), n.Value, nil
	case "!!null":
		want = Null
	case "!!bool":
		want = Boolean
	case "!!int", "!!float":
		want = Number
	default:
		return 0, "", fmt.Errorf("the tag %s is not supported", n.Tag)
	}
	if Type(tag&typeMask) != want {
		return 0, "", fmt.Errorf("%q is not of type %s", n.Value, n.Tag)
	}
	return tag, text, nil
}

func plainScalar(s string) (tag byte, text string) {
	switch s {
	case "", "~", "null", "Null", "NULL":
		return byte(Null), ""
	case "true", "True", "TRUE":
		return boolTag(true), ""
	case "false", "False", "FALSE":
		return boolTag(false), ""
	}
	if c := s[0]; c == '.' || c == '-' || c == '+' || c >= '0' && c <= '9' {
		if literal, ok := coreNumber(s); ok && literal == "" {
			return byte(Null), ""
		} else if ok {
			return byte(Number), literal
		}
	}
	return byte(String), s
}

// coreNumber reads a number of the core schema: as JSON writes it, or as "" if JSON has no such number. Literals that JSON has as well are kept
// as written.
func coreNumber(s string) (literal string, ok bool) {
	if isJSONNumber(s) {
		return s, true
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
		return "", true
	case ".nan", ".NaN", ".NAN":
		return "", len(unsigned) == len(s)
	}
	// What is left to mend: zeros in front, and no digit on one side of the point.
	whole, rest := cutDigits(unsigned)
	fraction := ""
	if after, ok := strings.CutPrefix(rest, "."); ok {
		fraction, rest = cutDigits(after)
	}
	if whole == "" && fraction == "" {
		return "", false
	}
	literal = strings.TrimLeft(whole, "0")
	if literal == "" {
		literal = "0"
	}
	if fraction != "" {
		literal += "." + fraction
	}
	literal = sign + literal + rest
	return literal, isJSONNumber(literal)
}

func radix(digits string, base int) (literal string, ok bool) {
	if digits == "" || digits[0] == '-' || digits[0] == '+' {
		return "", false
	}
	n, err := strconv.ParseUint(digits, base, 64)
	return strconv.FormatUint(n, 10), err == nil
}

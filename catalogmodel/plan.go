package catalogmodel

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

// plan is a JSON Schema made ready to prove values valid quickly: nearly every entity is valid, and the schema library takes
// several times as long and needs the value as maps. A plan only ever answers "valid" or "perhaps not"; what it does
// not prove, and schemas that use more than it covers, go to the library, which alone decides and reports.
type plan struct {
	unproven bool   // uses a keyword that the plan does not cover
	types    uint16 // a set of Types; 0: any
	all      []*plan
	any      []*plan
	one      []*plan

	constants []string // the value must be one of these, if there are any

	required   []string
	properties map[string]*plan
	patterns   []patternPlan
	closed     bool  // no properties but the above
	additional *plan // what other properties must be; nil: anything
	items      *plan

	minLength, maxLength int // in code points; -1: no bound
	minItems, maxItems   int
	pattern              *regexp.Regexp
}

type patternPlan struct {
	re   *regexp.Regexp
	any  bool // re is ^.+$
	plan *plan
}

// planner makes plans, one for each schema, and collects the schemas by their locations.
type planner struct {
	plans     map[*jsonschema.Schema]*plan
	locations map[string]*jsonschema.Schema
}

func (b *planner) plan(s *jsonschema.Schema) *plan {
	if s == nil {
		return nil
	}
	if p, ok := b.plans[s]; ok {
		return p
	}
	p := &plan{minLength: s.MinLength, maxLength: s.MaxLength, minItems: s.MinItems, maxItems: s.MaxItems, pattern: s.Pattern}
	b.plans[s] = p
	b.locations[s.Location] = s
	p.unproven = beyondPlan(s)
	for _, name := range s.Types {
		t, ok := schemaTypes[name]
		p.types |= 1 << t
		p.unproven = p.unproven || !ok
	}
	if s.Ref != nil {
		p.all = append(p.all, b.plan(s.Ref))
	}
	p.all = append(p.all, b.list(s.AllOf)...)
	p.any = b.list(s.AnyOf)
	p.one = b.list(s.OneOf)
	for _, c := range slices.Concat(s.Constant, s.Enum) {
		text, ok := c.(string)
		p.constants = append(p.constants, text)
		p.unproven = p.unproven || !ok
	}
	p.required = s.Required
	if len(s.Properties) > 0 {
		p.properties = make(map[string]*plan, len(s.Properties))
		for name, property := range s.Properties {
			p.properties[name] = b.plan(property)
		}
	}
	for re, property := range s.PatternProperties {
		p.patterns = append(p.patterns, patternPlan{re: re, any: re.String() == "^.+$", plan: b.plan(property)})
	}
	switch additional := s.AdditionalProperties.(type) {
	case bool:
		p.closed = !additional
	case *jsonschema.Schema:
		p.additional = b.plan(additional)
	}
	if items, ok := s.Items.(*jsonschema.Schema); ok {
		p.items = b.plan(items)
	}
	p.items = cmp.Or(p.items, b.plan(s.Items2020))
	return p
}

func (b *planner) list(schemas []*jsonschema.Schema) []*plan {
	var plans []*plan
	for _, s := range schemas {
		plans = append(plans, b.plan(s))
	}
	return plans
}

// schemaTypes leaves out "integer", which takes arithmetic.
var schemaTypes = map[string]Type{
	"null": Null, "boolean": Boolean, "number": Number, "string": String, "array": Array, "object": Object,
}

// beyondPlan reports whether s uses a keyword that plans do not cover.
func beyondPlan(s *jsonschema.Schema) bool {
	_, tuple := s.Items.([]*jsonschema.Schema)
	return tuple || s.Format != "" || s.Always != nil || s.RecursiveRef != nil || s.DynamicRef != nil || s.Not != nil || s.If != nil ||
		s.MinProperties >= 0 || s.MaxProperties >= 0 || s.PropertyNames != nil || s.RegexProperties || len(s.Dependencies) > 0 ||
		len(s.DependentRequired) > 0 || len(s.DependentSchemas) > 0 || s.UnevaluatedProperties != nil || s.UniqueItems ||
		s.AdditionalItems != nil || len(s.PrefixItems) > 0 || s.Contains != nil || s.UnevaluatedItems != nil ||
		s.ContentEncoding != "" || s.ContentMediaType != "" || s.ContentSchema != nil || s.Minimum != nil || s.ExclusiveMinimum != nil ||
		s.Maximum != nil || s.ExclusiveMaximum != nil || s.MultipleOf != nil || len(s.Extensions) > 0 ||
		len(s.Constant) > 0 && len(s.Enum) > 0
}

// proves reports whether v is certain to be valid.
func (p *plan) proves(v Value) bool {
	if p.unproven || p.types != 0 && p.types&(1<<v.Type()) == 0 {
		return false
	}
	for _, q := range p.all {
		if !q.proves(v) {
			return false
		}
	}
	if len(p.any) > 0 && !slices.ContainsFunc(p.any, func(q *plan) bool { return q.proves(v) }) {
		return false
	}
	if len(p.one) > 0 && !p.provesOne(v) {
		return false
	}
	if len(p.constants) > 0 && (v.Type() != String || !slices.Contains(p.constants, v.content())) {
		return false
	}
	switch v.Type() {
	case String:
		return p.provesString(v.content())
	case Array:
		return p.provesArray(v)
	case Object:
		return p.provesObject(v)
	}
	return true
}

// provesOne reports whether exactly one of p.one is valid. That the others are not can be told by their types alone.
func (p *plan) provesOne(v Value) bool {
	valid := 0
	for _, q := range p.one {
		if q.proves(v) {
			valid++
		} else if q.types == 0 || q.types&(1<<v.Type()) != 0 {
			return false
		}
	}
	return valid == 1
}

func (p *plan) provesString(s string) bool {
	if p.minLength > 0 || p.maxLength >= 0 {
		if n := len(s); n < p.minLength || p.minLength > 1 || p.maxLength >= 0 && n > p.maxLength {
			n = utf8.RuneCountInString(s)
			if n < p.minLength || p.maxLength >= 0 && n > p.maxLength {
				return false
			}
		}
	}
	return p.pattern == nil || p.pattern.MatchString(s)
}

func (p *plan) provesArray(v Value) bool {
	n := 0
	for m := v.members(); m.next(); n++ {
		if p.items != nil && !p.items.proves(m.value) {
			return false
		}
	}
	return n >= p.minItems && (p.maxItems < 0 || n <= p.maxItems)
}

func (p *plan) provesObject(v Value) bool {
	for _, name := range p.required {
		if !v.has(name) {
			return false
		}
	}
	if p.properties == nil && p.patterns == nil && p.additional == nil && !p.closed {
		return true
	}
	for m := v.members(); m.next(); {
		q, known := p.properties[m.key]
		if known && !q.proves(m.value) {
			return false
		}
		for _, pattern := range p.patterns {
			if pattern.matches(m.key) {
				known = true
				if !pattern.plan.proves(m.value) {
					return false
				}
			}
		}
		if known {
			continue
		}
		if p.closed || p.additional != nil && !p.additional.proves(m.value) {
			return false
		}
	}
	return true
}

func (p patternPlan) matches(key string) bool {
	if p.any && isPlain(key) {
		return true
	}
	return p.re.MatchString(key)
}

// isPlain reports whether s has nothing but printable ASCII in it, and some of that.
func isPlain(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return s != ""
}

// schemaValue returns v as the schema library takes it. It calculates with exact fractions, so numbers whose exponents would
// make those huge are cut to what a float64 holds.
func schemaValue(v Value) any {
	switch v.Type() {
	case Array:
		out := []any{}
		for _, e := range v.Elements() {
			out = append(out, schemaValue(e))
		}
		return out
	case Object:
		out := map[string]any{}
		for k, e := range v.Fields() {
			out[k] = schemaValue(e)
		}
		return out
	case Number:
		if literal := v.content(); len(literal) > 17 || strings.ContainsAny(literal, "eE") {
			f, err := strconv.ParseFloat(literal, 64)
			if err != nil {
				f = 0x1p1023
			}
			return f
		}
	}
	return v.Any()
}

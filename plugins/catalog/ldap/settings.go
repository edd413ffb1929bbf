package ldap

import (
	"cmp"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/portico-dev/portico/service"
)

// settings are those of one provider.
type settings struct {
	Target   string           `schema:"required"`
	Bind     *bindSettings    //
	TLS      tlsSettings      `config:"tls"`
	Schedule service.Schedule `schema:"required"`
	Users    searches         //
	Groups   searches         //
	Vendor   vendorSettings   //
}

type bindSettings struct {
	DN     string `config:"dn" schema:"required"`
	Secret string `schema:"required,visibility=secret"`
}

type tlsSettings struct {
	RejectUnauthorized *bool
	Certs              string
	Keys               string
}

type vendorSettings struct {
	DNAttributeName   string `config:"dnAttributeName"`
	UUIDAttributeName string `config:"uuidAttributeName"`
}

// search says which entries to read, and what becomes of them.
type search struct {
	DN      string         `config:"dn" schema:"required"`
	Options options        //
	Set     map[string]any // values by their paths in the entity
	Map     mapping        //
}

type options struct {
	Scope        string `schema:"enum=base|one|sub"`
	Filter       string
	Attributes   texts
	SizeLimit    int `schema:"min=0"`
	TimeLimit    int `schema:"min=0"` // seconds
	DerefAliases int `schema:"min=0,max=3"`
	Paged        paging
}

// mapping has the attributes of what the fields of an entity are made from.
type mapping struct {
	RDN         string `config:"rdn"`
	Name        string
	Description string
	Type        string
	DisplayName string
	Email       string
	Picture     string
	MemberOf    string
	Members     string
}

// searches are configured by an object, or by a list of them.
type searches []search

// UnmarshalConfig implements the configuration's unmarshaler.
func (s *searches) UnmarshalConfig(decode func(any) error) error {
	var value any
	if err := decode(&value); err != nil {
		return err
	}
	if _, several := value.([]any); several {
		return decode((*[]search)(s))
	}
	var one search
	if err := decode(&one); err != nil {
		return err
	}
	*s = searches{one}
	return nil
}

// texts are configured by a text, or by a list of them.
type texts []string

// UnmarshalConfig implements the configuration's unmarshaler.
func (t *texts) UnmarshalConfig(decode func(any) error) error {
	var value any
	if err := decode(&value); err != nil {
		return err
	}
	if text, one := value.(string); one {
		*t = texts{text}
		return nil
	}
	return decode((*[]string)(t))
}

// paging is configured by true, false or the size of the pages.
type paging struct{ size uint32 }

// defaultPageSize is what servers allow by default.
const defaultPageSize = 100

// UnmarshalConfig implements the configuration's unmarshaler.
func (p *paging) UnmarshalConfig(decode func(any) error) error {
	var value any
	if err := decode(&value); err != nil {
		return err
	}
	if _, isObject := value.(map[string]any); !isObject {
		var paged bool
		if err := decode(&paged); err != nil {
			return err
		}
		if paged {
			p.size = defaultPageSize
		}
		return nil
	}
	object := struct {
		PageSize  uint32 `schema:"min=1"`
		PagePause bool   // only of use to programs
	}{PageSize: defaultPageSize}
	err := decode(&object)
	p.size = object.PageSize
	return err
}

// complete fills in defaults, and checks what the schema can't.
func (s *settings) complete() error {
	s.Target = strings.TrimRight(s.Target, "/")
	target, err := url.Parse(s.Target)
	if err != nil || target.Host == "" && target.Scheme != "ldapi" {
		return fmt.Errorf("target: %q is not like ldaps://ds.example.net", s.Target)
	}
	switch target.Scheme {
	case "ldap", "ldaps", "ldapi":
	default:
		return fmt.Errorf("target: the scheme of %q is none of ldap, ldaps and ldapi", s.Target)
	}
	if (s.TLS.Certs == "") != (s.TLS.Keys == "") {
		return fmt.Errorf("tls: certs and keys belong together")
	}
	for _, kind := range []struct {
		key      string
		searches searches
		defaults mapping
	}{
		{"users", s.Users, mapping{RDN: "uid", Name: "uid", DisplayName: "cn", Email: "mail", MemberOf: "memberOf"}},
		{"groups", s.Groups, mapping{
			RDN: "cn", Name: "cn", Description: "description", DisplayName: "cn", Type: "groupType", MemberOf: "memberOf", Members: "member",
		}},
	} {
		for i := range kind.searches {
			if err := kind.searches[i].complete(kind.defaults); err != nil {
				return fmt.Errorf("%s: %w", kind.key, err)
			}
		}
	}
	return nil
}

// blanks are what may stand around the parentheses of a filter, which then can be written on several lines.
var blanks = regexp.MustCompile(`\s*([()])\s*`)

func (s *search) complete(defaults mapping) error {
	s.Options.Scope = cmp.Or(s.Options.Scope, "one")
	s.Options.Filter = cmp.Or(strings.TrimSpace(blanks.ReplaceAllString(s.Options.Filter, "$1")), "(objectClass=*)")
	if !strings.HasPrefix(s.Options.Filter, "(") {
		s.Options.Filter = "(" + s.Options.Filter + ")"
	}
	if s.Options.Attributes == nil {
		s.Options.Attributes = texts{"*", "+"}
	}
	if _, err := ldap.CompileFilter(s.Options.Filter); err != nil {
		return fmt.Errorf("the filter %s of %s: %w", s.Options.Filter, s.DN, err)
	}
	if _, err := ldap.ParseDN(s.DN); err != nil {
		return fmt.Errorf("the dn %s: %w", s.DN, err)
	}
	for path := range s.Set {
		if _, err := parsePath(path); err != nil {
			return err
		}
	}
	m := &s.Map
	for _, attribute := range []struct {
		configured *string
		otherwise  string
	}{
		{&m.RDN, defaults.RDN}, {&m.Name, defaults.Name}, {&m.Description, defaults.Description}, {&m.Type, defaults.Type},
		{&m.DisplayName, defaults.DisplayName}, {&m.Email, defaults.Email}, {&m.MemberOf, defaults.MemberOf}, {&m.Members, defaults.Members},
	} {
		*attribute.configured = cmp.Or(*attribute.configured, attribute.otherwise)
	}
	return nil
}

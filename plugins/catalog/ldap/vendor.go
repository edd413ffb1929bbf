package ldap

import (
	"cmp"
	"context"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// vendor is what differs from one kind of directory to another.
type vendor struct {
	dn   string // the attribute with the distinguished name; "dn" is not one, but what the protocol has anyway
	uuid string // the attribute with the unique id
	// guid is the attribute that is a GUID in binary form, or empty.
	guid string
}

var (
	openLDAP        = vendor{dn: "entryDN", uuid: "entryUUID"}
	activeDirectory = vendor{dn: "distinguishedName", uuid: "objectGUID", guid: "objectGUID"}
	freeIPA         = vendor{dn: "dn", uuid: "ipaUniqueID"}
	aeDir           = vendor{dn: "dn", uuid: "entryUUID"}
	google          = vendor{dn: "dn", uuid: "uid"}
	lldap           = vendor{dn: "dn", uuid: "entryuuid"}
)

// vendor recognizes the directory by its root.
func (c *client) vendor(ctx context.Context, s vendorSettings) (vendor, error) {
	found, err := c.search(ctx, "", options{Scope: "base", Filter: "(objectClass=*)", Attributes: texts{"*", "+"}})
	if err != nil {
		return vendor{}, err
	}
	v := openLDAP
	if len(found) == 1 {
		v = recognize(found[0])
	}
	v.dn = cmp.Or(s.DNAttributeName, v.dn)
	v.uuid = cmp.Or(s.UUIDAttributeName, v.uuid)
	return v, nil
}

func recognize(root *ldap.Entry) vendor {
	has := func(name string) bool { return len(root.GetEqualFoldRawAttributeValues(name)) > 0 }
	mentions := func(attribute, name string) bool {
		return slices.ContainsFunc(root.GetEqualFoldAttributeValues(attribute), func(v string) bool { return strings.Contains(v, name) })
	}
	switch {
	case has("forestFunctionality"):
		return activeDirectory
	case has("ipaDomainLevel"):
		return freeIPA
	case has("aeRoot"):
		return aeDir
	case root.GetEqualFoldAttributeValue("vendorName") == "LLDAP":
		return lldap
	case !has("namingContexts") && !has("supportedControl") && !has("vendorName") && !has("vendorVersion") &&
		root.GetEqualFoldAttributeValue("subschemaSubentry") == "cn=subschema" &&
		(mentions("objectClasses", "googleUid") || mentions("attributeTypes", "googleAdminCreated")):
		return google
	}
	return openLDAP
}

// values are those of an attribute, as text.
func (v vendor) values(entry *ldap.Entry, attribute string) []string {
	raw := entry.GetEqualFoldRawAttributeValues(attribute)
	if len(raw) == 0 && strings.EqualFold(attribute, "dn") {
		return []string{entry.DN}
	}
	texts := make([]string, len(raw))
	for i, value := range raw {
		if strings.EqualFold(attribute, v.guid) && len(value) == 16 {
			texts[i] = formatGUID(value)
		} else {
			texts[i] = strings.ToValidUTF8(string(value), "\uFFFD")
		}
	}
	return texts
}

// one is the value of an attribute that has exactly one, or empty.
func (v vendor) one(entry *ldap.Entry, attribute string) string {
	if values := v.values(entry, attribute); attribute != "" && len(values) == 1 {
		return values[0]
	}
	return ""
}

// formatGUID writes a GUID as Microsoft does: the first three groups have their bytes in reverse.
func formatGUID(b []byte) string {
	ordered := []byte{b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]}
	text := hex.EncodeToString(ordered)
	return strings.Join([]string{text[:8], text[8:12], text[12:16], text[16:20], text[20:]}, "-")
}

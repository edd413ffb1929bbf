package msgraph

import (
	"encoding/json"
	"regexp"
	"strings"

	"github.com/portico-dev/portico/catalogmodel"
)

// fields is a JSON object; what is empty is left out.
type fields map[string]any

func (f fields) set(name, value string) {
	if value != "" {
		f[name] = value
	}
}

// newEntity makes an entity. Fields are strings, and objects of such.
func newEntity(kind, name string, annotations, metadata, spec fields) catalogmodel.Entity {
	metadata["name"], metadata["annotations"] = name, annotations
	encoded, err := json.Marshal(map[string]any{"apiVersion": "backstage.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})
	if err != nil {
		panic("msgraph: " + err.Error()) // strings can always be encoded
	}
	e, err := catalogmodel.ParseJSON(encoded)
	if err != nil {
		panic("msgraph: " + err.Error())
	}
	return e
}

// organizationEntity is the group at the root of all groups.
func organizationEntity(o Object) catalogmodel.Entity {
	name := o.Text("displayName")
	if o.Text("id") == "" || name == "" {
		return catalogmodel.Entity{}
	}
	return newEntity("Group", normalize(name), fields{catalogmodel.AnnotationAzureTenantID: o.Text("id")}, fields{"description": name},
		fields{"type": "root", "profile": fields{"displayName": name}, "children": []string{}})
}

func groupEntity(o Object) catalogmodel.Entity {
	name := o.Text("displayName")
	if o.Text("id") == "" || name == "" {
		return catalogmodel.Entity{}
	}
	if secured, _ := o["securityEnabled"].(bool); !secured && o.Text("mailNickname") != "" {
		name = o.Text("mailNickname")
	}
	metadata, profile := fields{}, fields{}
	metadata.set("description", o.Text("description"))
	profile.set("displayName", o.Text("displayName"))
	profile.set("email", o.Text("mail"))
	return newEntity("Group", normalize(name), fields{catalogmodel.AnnotationAzureGroupID: o.Text("id")}, metadata,
		fields{"type": "team", "profile": profile, "children": []string{}})
}

func userEntity(o Object, photo string) catalogmodel.Entity {
	if o.Text("id") == "" || o.Text("displayName") == "" {
		return catalogmodel.Entity{}
	}
	name := o.Text("mail")
	if name == "" {
		name = o.Text("userPrincipalName")
	}
	annotations, profile := fields{catalogmodel.AnnotationAzureUserID: o.Text("id")}, fields{"displayName": o.Text("displayName")}
	annotations.set(catalogmodel.AnnotationMicrosoftEmail, o.Text("mail"))
	profile.set("email", o.Text("mail"))
	profile.set("picture", photo)
	return newEntity("User", normalize(name), annotations, fields{}, fields{"profile": profile, "memberOf": []string{}})
}

var (
	notInNames = regexp.MustCompile(`[^a-z0-9_.-]`)
	runs       = regexp.MustCompile(`__+`)
)

// normalize makes the name of an entity.
func normalize(name string) string {
	name = notInNames.ReplaceAllString(strings.ToLower(strings.TrimSpace(name)), "_")
	return runs.ReplaceAllString(strings.TrimRight(name, "_"), "_")
}

package msgraph

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/portico-dev/portico/service"
)

// settings are those of one provider.
type settings struct {
	Target          string
	Authority       string
	TenantID        string `config:"tenantId" schema:"required"`
	ClientID        string `config:"clientId"`
	ClientSecret    string `schema:"visibility=secret"`
	QueryMode       string `schema:"enum=basic|advanced"`
	User            userSettings
	Group           groupSettings
	UserGroupMember memberSettings
	Schedule        service.Schedule `schema:"required"`
}

type userSettings struct {
	Path, Expand, Filter string
	Select               []string
	LoadPhotos           *bool
}

type groupSettings struct {
	Path, Expand, Filter, Search string
	Select                       []string
	IncludeSubGroups             bool
}

type memberSettings struct{ Path, Filter, Search string }

const configKey = "catalog.providers.microsoftGraphOrg"

// readSettings reads the providers, by id.
func readSettings(cfg service.Config) (map[string]settings, error) {
	if cfg.Has(configKey + ".tenantId") {
		var one settings
		err := cfg.Decode(configKey, &one)
		return map[string]settings{"default": one}, err
	}
	var all map[string]settings
	err := cfg.Decode(configKey, &all)
	return all, err
}

// complete fills in defaults, and checks what the schema can't.
func (s *settings) complete() error {
	s.Target = strings.TrimRight(cmp.Or(s.Target, "https://graph.microsoft.com/v1.0"), "/")
	s.Authority = strings.TrimRight(cmp.Or(s.Authority, "https://login.microsoftonline.com"), "/")
	for key, address := range map[string]string{"target": s.Target, "authority": s.Authority} {
		if u, err := url.Parse(address); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			return fmt.Errorf("%s: %q is not an HTTP address", key, address)
		}
	}
	if (s.ClientID == "") != (s.ClientSecret == "") {
		return errors.New("clientId and clientSecret belong together")
	}
	if s.User.Filter != "" && s.UserGroupMember != (memberSettings{}) {
		return errors.New("user.filter and userGroupMember exclude each other")
	}
	s.User.Path = strings.Trim(cmp.Or(s.User.Path, "users"), "/")
	s.Group.Path = strings.Trim(cmp.Or(s.Group.Path, "groups"), "/")
	return nil
}

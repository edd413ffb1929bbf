package auth

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/auth/keys"
)

// settings is backend.auth.
type settings struct {
	DangerouslyDisableDefaultAuthPolicy bool
	PluginKeyStore                      struct {
		Type   string
		Static struct{ Keys []keys.File }
	}
	ExternalAccess []accessSettings
	Keys           []accessSettings
}

// accessSettings is an entry of backend.auth.externalAccess, or of backend.auth.keys.
type accessSettings struct {
	Type               string
	Options            accessOptions
	Secret             string // of backend.auth.keys
	AccessRestrictions []restrictionSettings
}

type accessOptions struct {
	Token         string
	Secret        string
	Subject       string
	URL           string `config:"url"`
	Algorithm     words
	Issuer        words
	Audience      words
	SubjectPrefix string
}

type restrictionSettings struct {
	Plugin              string
	Permission          words
	PermissionAttribute struct{ Action words }
}

// words are separated by commas or spaces, or are a list.
type words []string

// UnmarshalText reads words from one text.
func (w *words) UnmarshalText(text []byte) error {
	*w = words{string(text)}
	return nil
}

func (w words) split() []string {
	var all []string
	for _, text := range w {
		for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || unicode.IsSpace(r) }) {
			if !slices.Contains(all, word) {
				all = append(all, word)
			}
		}
	}
	return all
}

const (
	settingsKey    = "backend.auth"
	minTokenLength = 8
	legacySubject  = "external:backstage-plugin"
	typeDatabase   = "database"
	typeStatic     = "static"
)

func readSettings(config service.Config) (settings, error) {
	s := settings{}
	if err := config.Decode(settingsKey, &s); err != nil {
		return s, fmt.Errorf("auth: %w", err)
	}
	if t := s.PluginKeyStore.Type; t != "" && t != typeDatabase && t != typeStatic {
		return s, fmt.Errorf("auth: configuration key %s.pluginKeyStore.type is %q; it must be %q or %q", settingsKey, t, typeDatabase, typeStatic)
	}
	return s, nil
}

// access reads all external access.
func (s settings) access(remote verifier) ([]*access, error) {
	var all []*access
	add := func(key string, i int, a accessSettings) error {
		made, err := a.access(remote)
		if err != nil {
			return fmt.Errorf("auth: configuration key %s.%s[%d]%w", settingsKey, key, i, err)
		}
		all = append(all, made)
		return nil
	}
	for i, a := range s.ExternalAccess {
		if err := add("externalAccess", i, a); err != nil {
			return nil, err
		}
	}
	for i, a := range s.Keys {
		a.Type, a.Options = "legacy", accessOptions{Secret: a.Secret, Subject: legacySubject}
		if _, err := secretBytes(a.Secret); err != nil {
			return nil, fmt.Errorf("auth: configuration key %s.keys[%d].secret %w", settingsKey, i, err)
		}
		if err := add("keys", i, a); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// access checks the settings. Errors begin with the key below that of the entry, and don't quote secrets.
func (a accessSettings) access(remote verifier) (*access, error) {
	made := &access{}
	var err error
	switch a.Type {
	case "static":
		made.recognize, err = a.Options.static()
	case "legacy":
		made.recognize, err = a.Options.legacy()
	case "jwks":
		made.recognize, err = a.Options.jwks(remote)
	case "":
		err = errors.New(`.type is required: "static", "legacy" or "jwks"`)
	default:
		err = fmt.Errorf(`.type is %q; it must be "static", "legacy" or "jwks"`, a.Type)
	}
	if err != nil {
		return nil, err
	}
	made.restrictions, err = restrictions(a.AccessRestrictions)
	return made, err
}

func (o accessOptions) static() (recognizer, error) {
	switch {
	case o.Token == "":
		return nil, errors.New(".options.token is required")
	case hasSpace(o.Token):
		return nil, errors.New(".options.token must not have spaces")
	case len(o.Token) < minTokenLength:
		return nil, fmt.Errorf(".options.token must have at least %d characters", minTokenLength)
	}
	if err := o.checkSubject(); err != nil {
		return nil, err
	}
	return newStaticToken(o.Token, o.Subject), nil
}

func (o accessOptions) legacy() (recognizer, error) {
	if err := o.checkSubject(); err != nil {
		return nil, err
	}
	secret, err := secretBytes(o.Secret)
	if err != nil {
		return nil, fmt.Errorf(".options.secret %w", err)
	}
	return legacyToken{secret, o.Subject}, nil
}

// secretBytes decodes base64 in either alphabet, with or without padding.
func secretBytes(encoded string) ([]byte, error) {
	standard := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(encoded, "="))
	secret, err := base64.RawStdEncoding.DecodeString(standard)
	if err != nil || len(secret) == 0 {
		return nil, errors.New(`must be base64; "openssl rand -base64 24" makes one`)
	}
	return secret, nil
}

func (o accessOptions) jwks(remote verifier) (recognizer, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf(".options.url is %q; it must be the http(s) URL of a JSON Web Key Set", o.URL)
	}
	prefix := "external:"
	if o.SubjectPrefix != "" {
		prefix += o.SubjectPrefix + ":"
	}
	return &remoteToken{remote: remote, url: o.URL, algorithms: o.Algorithm.split(), issuers: o.Issuer.split(), audiences: o.Audience.split(),
		prefix: prefix}, nil
}

func (o accessOptions) checkSubject() error {
	if o.Subject == "" || hasSpace(o.Subject) {
		return errors.New(".options.subject is required, without spaces")
	}
	return nil
}

func hasSpace(s string) bool { return strings.ContainsFunc(s, unicode.IsSpace) }

var actions = []string{"create", "read", "update", "delete"}

func restrictions(list []restrictionSettings) (map[string]service.AccessRestriction, error) {
	if len(list) == 0 {
		return nil, nil
	}
	all := map[string]service.AccessRestriction{}
	for i, r := range list {
		if r.Plugin == "" {
			return nil, fmt.Errorf(".accessRestrictions[%d].plugin is required", i)
		}
		if _, twice := all[r.Plugin]; twice {
			return nil, fmt.Errorf(".accessRestrictions[%d].plugin: there are restrictions for %s already", i, r.Plugin)
		}
		restriction := service.AccessRestriction{Permissions: r.Permission.split(), Actions: r.PermissionAttribute.Action.split()}
		for _, action := range restriction.Actions {
			if !slices.Contains(actions, action) {
				return nil, fmt.Errorf(".accessRestrictions[%d].permissionAttribute.action: %q is none of %s", i, action, strings.Join(actions, ", "))
			}
		}
		all[r.Plugin] = restriction
	}
	return all, nil
}

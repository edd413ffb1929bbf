package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/portico-dev/portico/plugins/catalog/internal/query"
	"github.com/portico-dev/portico/service"
)

// Webhook is somebody who wants to be called.
type Webhook struct {
	// ID names the webhook: its state is stored by it.
	ID string
	// URL is what is called.
	URL *url.URL
	// Where is the condition through which it sees changes, or nil.
	Where query.Predicate
	// Previous has it told what entities were before, too.
	Previous bool

	keys [][]byte
}

// Read reads the webhooks of the configuration:
//
//	catalog:
//	  webhooks:
//	    - url: https://example.com/hook
//	      secret: whsec_…         # or several, while it is changed
//	      id: example             # names the state; by default made of the URL
//	      filter: [kind=component]
//	      previous: true
func Read(cfg service.Config) ([]Webhook, error) {
	const key = "catalog.webhooks"
	var configured []struct {
		ID       string `config:"id"`
		URL      string `config:"url"`
		Secret   any    `config:"secret"`
		Filter   any    `config:"filter"`
		Previous bool   `config:"previous"`
	}
	if err := cfg.Decode(key, &configured); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	hooks := make([]Webhook, len(configured))
	for i, c := range configured {
		at := fmt.Sprintf("%s[%d]", key, i)
		h := Webhook{ID: c.ID, Previous: c.Previous}
		var err error
		if h.URL, err = url.Parse(c.URL); err != nil || h.URL.Hostname() == "" || h.URL.Scheme != "http" && h.URL.Scheme != "https" {
			return nil, fmt.Errorf("%s.url: it must be an http or https URL", at) // which may have a secret in it
		}
		if h.ID == "" {
			sum := sha256.Sum256([]byte(c.URL))
			h.ID = strings.ReplaceAll(h.URL.Hostname(), ":", "-") + "-" + hex.EncodeToString(sum[:4])
		}
		switch {
		case !idPattern.MatchString(h.ID):
			return nil, fmt.Errorf("%s.id: it must have 1 to 100 letters, digits, dots, dashes and underscores", at)
		case seen[h.ID]:
			return nil, fmt.Errorf("%s: there is another webhook with the id %s; give each an id of its own", at, h.ID)
		}
		seen[h.ID] = true
		if h.keys, err = keys(texts(c.Secret)); err != nil {
			return nil, fmt.Errorf("%s.secret: %w", at, err)
		}
		if h.Where, err = query.ParseFilter(texts(c.Filter)); err != nil {
			return nil, fmt.Errorf("%s.filter: %w", at, err)
		}
		hooks[i] = h
	}
	return hooks, nil
}

var idPattern = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)

// texts are the strings of what may be one or a list.
func texts(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		all := make([]string, 0, len(v))
		for _, element := range v {
			all = append(all, fmt.Sprint(element))
		}
		return all
	}
	return nil
}

// keys are the keys of secrets: base64 after whsec_, of 24 to 64 bytes.
func keys(secrets []string) ([][]byte, error) {
	if len(secrets) == 0 {
		return nil, fmt.Errorf("it is required: whsec_ and 24 to 64 random bytes in base64, as from `openssl rand -base64 32`")
	}
	all := make([][]byte, len(secrets))
	for i, secret := range secrets {
		encoded, ok := strings.CutPrefix(secret, "whsec_")
		key, err := base64.StdEncoding.DecodeString(encoded)
		if !ok || err != nil || len(key) < 24 || len(key) > 64 {
			return nil, fmt.Errorf("it must be whsec_ and 24 to 64 random bytes in base64, as from `openssl rand -base64 32`")
		}
		all[i] = key
	}
	return all, nil
}

// sign is the signature of a message: one for each key.
func (w Webhook) sign(id string, at time.Time, body []byte) string {
	signatures := make([]string, len(w.keys))
	for i, key := range w.keys {
		mac := hmac.New(sha256.New, key)
		_, _ = mac.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + ".")) // never fails
		_, _ = mac.Write(body)
		signatures[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return strings.Join(signatures, " ")
}

// Address is the URL without what may be secret in it.
func (w Webhook) Address() string {
	return (&url.URL{Scheme: w.URL.Scheme, Host: w.URL.Host, Path: w.URL.Path}).String()
}

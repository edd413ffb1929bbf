package ldap

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"github.com/go-ldap/ldap/v3"
)

const (
	dialTimeout   = 30 * time.Second
	answerTimeout = 5 * time.Minute
)

// client is a connection to a directory.
type client struct{ *ldap.Conn }

// dial connects and binds. The connection ends with the context.
func dial(ctx context.Context, s settings) (*client, error) {
	config := &tls.Config{InsecureSkipVerify: s.TLS.RejectUnauthorized != nil && !*s.TLS.RejectUnauthorized} //nolint:gosec // as configured
	if s.TLS.Certs != "" {
		own, err := tls.LoadX509KeyPair(s.TLS.Certs, s.TLS.Keys)
		if err != nil {
			return nil, fmt.Errorf("the portal's own certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{own}
	}
	conn, err := ldap.DialURL(s.Target, ldap.DialWithDialer(&net.Dialer{Timeout: dialTimeout}), ldap.DialWithTLSConfig(config))
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", s.Target, err)
	}
	conn.SetTimeout(answerTimeout)
	c := &client{conn}
	if s.Bind != nil {
		stop := c.closeWith(ctx)
		defer stop()
		if err := conn.Bind(s.Bind.DN, s.Bind.Secret); err != nil {
			_ = conn.Close()
			return nil, fmt.Errorf("binding to %s as %s: %w", s.Target, s.Bind.DN, err)
		}
	}
	return c, nil
}

// closeWith closes the connection when the context ends, unless it is stopped before.
func (c *client) closeWith(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() { _ = c.Close() })
}

var scopes = map[string]int{"base": ldap.ScopeBaseObject, "one": ldap.ScopeSingleLevel, "sub": ldap.ScopeWholeSubtree}

// search reads entries.
func (c *client) search(ctx context.Context, dn string, o options) ([]*ldap.Entry, error) {
	stop := c.closeWith(ctx)
	defer stop()
	request := ldap.NewSearchRequest(dn, scopes[o.Scope], o.DerefAliases, o.SizeLimit, o.TimeLimit, false, o.Filter, o.Attributes, nil)
	var result *ldap.SearchResult
	var err error
	if o.Paged.size > 0 {
		result, err = c.SearchWithPaging(request, o.Paged.size)
	} else {
		result, err = c.Search(request)
	}
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("searching at %q: %w", dn, ctx.Err())
	case err != nil:
		return nil, fmt.Errorf("searching at %q: %w", dn, err)
	}
	for _, entry := range result.Entries {
		if err := c.complete(entry); err != nil {
			return nil, err
		}
	}
	return result.Entries, nil
}

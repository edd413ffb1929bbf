package discovery_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/labstack/echo/v4"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/discovery"
)

// names is a DNS server that knows SRV records.
type names struct {
	*net.Resolver
	queries atomic.Int64
	records atomic.Pointer[map[string][]net.SRV]
}

func newNames(t *testing.T, records map[string][]net.SRV) *names {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &names{}
	n.records.Store(&records)
	done := make(chan struct{})
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	go func() {
		defer close(done)
		buffer := make([]byte, 4096)
		for {
			size, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buffer[:size]) == nil && len(m.Questions) == 1 {
				n.answer(&m)
				if packed, err := m.Pack(); err == nil {
					_, _ = conn.WriteTo(packed, from)
				}
			}
		}
	}()
	n.Resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
	return n
}

func (n *names) answer(m *dnsmessage.Message) {
	q := m.Questions[0]
	m.Response, m.Authoritative, m.Additionals = true, true, nil
	list, known := (*n.records.Load())[q.Name.String()]
	if !known {
		m.RCode = dnsmessage.RCodeNameError
	}
	if q.Type != dnsmessage.TypeSRV {
		return
	}
	n.queries.Add(1)
	for _, r := range list {
		m.Answers = append(m.Answers, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class},
			Body: &dnsmessage.SRVResource{Priority: r.Priority, Weight: r.Weight, Port: r.Port, Target: dnsmessage.MustNewName(r.Target)}})
	}
}

// startSRV starts a backend whose other plugins are found by the records.
func startSRV(t *testing.T, records map[string][]net.SRV) (*discovery.Discovery, *names, *clockwork.FakeClock, *http.Client) {
	t.Helper()
	var found service.Discovery
	var client *http.Client
	b := backendtest.Start(t, backendtest.Config(map[string]any{"discovery": map[string]any{"endpoints": []any{
		endpoint(map[string]any{"internal": "http+srv://{{pluginId}}.portal.test/api/{{pluginId}}/"}, "*"),
	}}}), plugin.New("todo", plugin.Init(func(d service.Discovery, c *http.Client) { found, client = d, c })))
	dns := newNames(t, records)
	d := found.(*discovery.Discovery)
	d.UseDNS(dns.Resolver, b.Clock)
	return d, dns, b.Clock, client
}

func TestSRV(t *testing.T) {
	t.Parallel()
	d, dns, clock, _ := startSRV(t, map[string][]net.SRV{
		"catalog.portal.test.": {
			{Priority: 1, Weight: 3, Port: 8001, Target: "one.test."}, {Priority: 1, Weight: 1, Port: 8002, Target: "two.test."},
			{Priority: 1, Weight: 0, Port: 8003, Target: "none.test."}, {Priority: 2, Weight: 9, Port: 8004, Target: "spare.test."},
		},
		"search.portal.test.": {{Port: 8001, Target: "one.test."}, {Port: 8002, Target: "two.test."}},
		"empty.portal.test.":  {},
	})
	many := func(id string) map[string]int {
		counts := map[string]int{}
		for range 1000 {
			url, err := d.BaseURL(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			counts[url]++
		}
		return counts
	}
	// Of 1000 throws with these chances, fewer than 600 or 350 come once in 10^20 runs.
	got := many("catalog")
	if one, two := got["http://one.test:8001/api/catalog"], got["http://two.test:8002/api/catalog"]; one+two != 1000 || one < 600 || two < 100 {
		t.Errorf("with weights: %v", got)
	}
	got = many("search")
	if one, two := got["http://one.test:8001/api/search"], got["http://two.test:8002/api/search"]; one+two != 1000 || one < 350 || two < 350 {
		t.Errorf("without weights: %v", got)
	}
	if n := dns.queries.Load(); n != 2 {
		t.Errorf("%d queries for 2000 answers", n)
	}
	for _, id := range []string{"missing", "empty"} {
		if url, err := d.BaseURL(t.Context(), id); err == nil || !strings.Contains(err.Error(), "there are no SRV records for "+id+".portal.test") {
			t.Errorf("%s: %s, %v", id, url, err)
		}
	}
	dns.records.Store(&map[string][]net.SRV{"catalog.portal.test.": {{Port: 9000, Target: "moved.test."}}})
	clock.Advance(time.Second)
	if got := many("catalog"); got["http://moved.test:9000/api/catalog"] != 1000 {
		t.Errorf("after a change: %v", got)
	}
}

// TestCallBySRV calls a plugin of another backend that SRV records lead to: it learns who calls.
func TestCallBySRV(t *testing.T) {
	t.Parallel()
	other := backendtest.Start(t, plugin.New("notes", plugin.Init(func(g *echo.Group, auth service.HTTPAuth) {
		g.GET("/who", func(c echo.Context) error {
			who, err := auth.Credentials(c.Request())
			if err != nil {
				return err
			}
			return c.String(http.StatusOK, who.Subject)
		})
	})))
	u, err := url.Parse(other.URL())
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	d, _, _, client := startSRV(t, map[string][]net.SRV{"notes.portal.test.": {{Port: uint16(port), Target: "localhost."}}})
	base, err := d.BaseURL(t.Context(), "notes")
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Get(base + "/who")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if who, err := io.ReadAll(res.Body); err != nil || string(who) != "plugin:todo" {
		t.Errorf("%s %s, %v", res.Status, who, err)
	}
}

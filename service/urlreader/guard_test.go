package urlreader_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/portico-dev/portico/service"
)

// names is a DNS server whose names have one address at first and another one afterwards.
func names(t *testing.T, answer func(name string, count int) string) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	go func() {
		defer close(done)
		counts := map[string]int{}
		buffer := make([]byte, 4096)
		for {
			n, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buffer[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			q := m.Questions[0]
			m.Response, m.Authoritative, m.Additionals = true, true, nil
			if ip := net.ParseIP(answer(q.Name.String(), counts[q.Name.String()])); q.Type == dnsmessage.TypeA && ip.To4() != nil {
				counts[q.Name.String()]++
				m.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class}, Body: &dnsmessage.AResource{A: [4]byte(ip.To4())}}}
			} else if q.Type == dnsmessage.TypeAAAA && ip.To4() == nil && ip != nil {
				m.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class}, Body: &dnsmessage.AAAAResource{AAAA: [16]byte(ip)}}}
			}
			packed, err := m.Pack()
			if err == nil {
				conn.WriteTo(packed, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	tests := []struct{ address, allow, want string }{
		{"169.254.169.254", "meta.test", "belongs to the machine"},
		{"169.254.169.254", "*.test", "belongs to the machine"},
		{"0.0.0.0", "meta.test", "belongs to the machine"},
		{"fe80::1", "meta.test", "belongs to the machine"},
		{"fd00:ec2::254", "meta.test", "belongs to the machine"},
		{"64:ff9b::a9fe:a9fe", "meta.test", "belongs to the machine"},
		{"2002:a9fe:a9fe::1", "meta.test", "belongs to the machine"},
		{"100.100.100.200", "meta.test", "belongs to the machine"},
		{"127.0.0.1", "*.test", "is private"},
		{"::1", "*.test", "is private"},
		{"10.0.0.1", "*.test", "is private"},
		{"172.16.0.1", "*.test", "is private"},
		{"192.168.0.1", "*.test", "is private"},
		{"100.64.0.1", "*.test", "is private"},
		{"fd12::1", "*.test", "is private"},
		{"198.18.0.1", "*.test", "is private"},
		{"64:ff9b::7f00:1", "*.test", "is private"},
	}
	for _, test := range tests {
		t.Run(test.allow+" at "+test.address, func(t *testing.T) {
			t.Parallel()
			resolver := names(t, func(string, int) string { return test.address })
			reader := newReader(t, setup{config: reading(object{"host": test.allow}), resolver: resolver})
			_, err := reader.ReadURL(t.Context(), "http://meta.test/", service.URLReadOptions{})
			if !errors.Is(err, service.NotAllowedError) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want an error that the address %s", err, test.want)
			}
		})
	}
}

// TestRebinding has a name that leads to the server at first, and to the metadata service of the cloud when it is looked up again.
func TestRebinding(t *testing.T) {
	t.Parallel()
	server := newAPI(t, map[string]http.HandlerFunc{"/a": func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close") // the next request has to connect anew
		text("a")(w, r)
	}})
	_, port, err := net.SplitHostPort(server.host())
	if err != nil {
		t.Fatal(err)
	}
	resolver := names(t, func(_ string, count int) string {
		if count == 0 {
			return "127.0.0.1"
		}
		return "169.254.169.254"
	})
	reader := newReader(t, setup{config: reading(object{"host": "rebinding.test:" + port}), resolver: resolver})
	url := "http://rebinding.test:" + port + "/a"
	file, err := reader.ReadURL(t.Context(), url, service.URLReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Bytes(); err != nil {
		t.Fatal(err)
	}
	if _, err := reader.ReadURL(t.Context(), url, service.URLReadOptions{}); !errors.Is(err, service.NotAllowedError) ||
		!strings.Contains(err.Error(), "169.254.169.254") {
		t.Errorf("the second time: %v, want a NotAllowedError", err)
	}
}

package ldap_test

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	ber "github.com/go-asn1-ber/asn1-ber"
	ldapclient "github.com/go-ldap/ldap/v3"

	"github.com/portico-dev/portico/plugins/catalog/internal/served"
)

// activeDirectory is a directory that answers three values of an attribute at a time, in ranges. It takes every filter for true.
type activeDirectory struct {
	net.Listener
	entries []*ldapclient.Entry
	running sync.WaitGroup
	broken  bool // whether it answers nothing when it's asked for more values
}

func newActiveDirectory(t *testing.T, entries ...*ldapclient.Entry) *activeDirectory {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &activeDirectory{Listener: listener, entries: entries}
	d.running.Go(func() {
		for {
			conn, err := d.Accept()
			if err != nil {
				return
			}
			d.running.Go(func() { d.serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = d.Close()
		d.running.Wait()
	})
	return d
}

// serve answers the messages of a connection (RFC 4511, section 4).
func (d *activeDirectory) serve(conn net.Conn) {
	defer conn.Close()
	for {
		message, err := ber.ReadPacket(conn)
		if err != nil || len(message.Children) < 2 {
			return
		}
		reply := func(tag ber.Tag, parts ...*ber.Packet) {
			op := ber.Encode(ber.ClassApplication, ber.TypeConstructed, tag, nil, "")
			for _, part := range parts {
				op.AppendChild(part)
			}
			_, _ = conn.Write(sequence(message.Children[0], op).Bytes())
		}
		done := []*ber.Packet{ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, 0, ""), text(""), text("")}
		switch op := message.Children[1]; op.Tag {
		case ldapclient.ApplicationBindRequest:
			reply(ldapclient.ApplicationBindResponse, done...)
		case ldapclient.ApplicationSearchRequest:
			base, _ := op.Children[0].Value.(string)
			scope, _ := op.Children[1].Value.(int64)
			var wanted string
			for _, a := range op.Children[7].Children {
				wanted, _ = a.Value.(string)
			}
			for _, e := range d.entries {
				if e.DN == base || scope != ldapclient.ScopeBaseObject && strings.HasSuffix(e.DN, ","+base) {
					reply(ldapclient.ApplicationSearchResultEntry, text(e.DN), d.attributes(e, wanted))
				}
			}
			reply(ldapclient.ApplicationSearchResultDone, done...)
		default:
			return
		}
	}
}

func (d *activeDirectory) attributes(e *ldapclient.Entry, wanted string) *ber.Packet {
	const most = 3
	var first int
	_, err := fmt.Sscanf(wanted, "member;range=%d-*", &first)
	isPart := err == nil
	all := sequence()
	for _, a := range e.Attributes {
		values, name := a.Values, a.Name
		switch {
		case isPart && (name != "member" || d.broken):
			continue
		case len(values) > most:
			end, last := min(first+most, len(values)), "*"
			if end < len(values) {
				last = fmt.Sprint(end - 1)
			}
			if !isPart {
				all.AppendChild(sequence(text(name), set(nil)))
			}
			values, name = values[first:end], fmt.Sprintf("%s;range=%d-%s", name, first, last)
		}
		all.AppendChild(sequence(text(name), set(values)))
	}
	return all
}

func text(s string) *ber.Packet {
	return ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, s, "")
}

func sequence(parts ...*ber.Packet) *ber.Packet {
	p := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
	for _, part := range parts {
		p.AppendChild(part)
	}
	return p
}

func set(values []string) *ber.Packet {
	p := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSet, nil, "")
	for _, value := range values {
		p.AppendChild(text(value))
	}
	return p
}

// TestRangesOfValues has groups with more members than the directory answers at once.
func TestRangesOfValues(t *testing.T) {
	t.Parallel()
	for _, members := range []int{3, 4, 6, 8} {
		for _, broken := range []bool{false, true} {
			t.Run(fmt.Sprint(members, " members, broken ", broken), func(t *testing.T) {
				t.Parallel()
				entries := []*ldapclient.Entry{ldapclient.NewEntry("", map[string][]string{"forestFunctionality": {"7"}})}
				var all []string
				for n := range members {
					name := fmt.Sprint("user-", n)
					dn := "uid=" + name + ",ou=people," + suffix
					all = append(all, dn)
					entries = append(entries, ldapclient.NewEntry(dn, map[string][]string{
						"uid": {name}, "cn": {name}, "mail": {name + "@example.net"}, "objectGUID": {"0123456789abcde" + fmt.Sprint(n)}, "distinguishedName": {dn},
					}))
				}
				group := "cn=team,ou=groups," + suffix
				entries = append(entries, ldapclient.NewEntry(group, map[string][]string{
					"cn": {"team"}, "member": all, "objectGUID": {"0123456789abcdef"}, "distinguishedName": {group}, "groupType": {"x"},
				}))
				d := newActiveDirectory(t, entries...)
				d.broken = broken
				b := start(t, (&directory{url: "ldap://" + d.Addr().String()}).settings(nil))
				if broken && members > 3 {
					if err := refresh(t, b); err == nil || !strings.Contains(err.Error(), "reading member of "+group+" from value 3 on") {
						t.Errorf("got %v", err)
					}
					return
				}
				found := ingest(t, b, members+1)
				for n := range members {
					served.Like(t, "the groups of a user", found[fmt.Sprint("user:default/user-", n)].Get("spec", "memberOf"), `["group:default/team"]`)
				}
			})
		}
	}
}

package ldap_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
)

const (
	suffix   = "dc=example,dc=net"
	rootDN   = "cn=admin," + suffix
	rootPW   = "t0p-secret"
	robotDN  = "uid=robot,ou=robots," + suffix
	robotPW  = "robot-secret"
	schemata = `
attributetype ( 1.2.840.113556.1.4.2 NAME 'objectGUID' SYNTAX 1.3.6.1.4.1.1466.115.121.1.40 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.221 NAME 'sAMAccountName' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.750 NAME 'groupType' SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )
attributetype ( 2.16.840.1.113730.3.8.1.1 NAME 'ipaUniqueID' SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
attributetype ( 1.3.6.1.4.1.99999.1 NAME 'forestFunctionality' SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 )
attributetype ( 1.3.6.1.4.1.99999.2 NAME 'ipaDomainLevel' SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 )
attributetype ( 1.3.6.1.4.1.99999.3 NAME 'aeRoot' SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
objectclass ( 1.3.6.1.4.1.99999.4 NAME 'anyDirectory' AUXILIARY MAY ( objectGUID $ distinguishedName $ sAMAccountName $ groupType $ ipaUniqueID ) )
`
)

// directory is an OpenLDAP server of its own.
type directory struct {
	t      *testing.T
	url    string
	admin  *ldap.Conn
	server *exec.Cmd
	stop   func()
}

// serve starts a server with more lines of configuration, and more attributes of its root as LDIF.
func serve(t *testing.T, scheme, config, root string) *directory {
	t.Helper()
	program, err := exec.LookPath("slapd")
	if err != nil {
		program = "/usr/sbin/slapd"
		if _, err := os.Stat(program); err != nil {
			if os.Getenv("PORTICO_TEST_REQUIRE") == "all" {
				t.Fatal("there is no slapd; install Debian's package slapd")
			}
			t.Skip("there is no slapd")
		}
	}
	dir := t.TempDir()
	write(t, dir, "root.ldif", "dn:\nobjectClass: top\n"+root)
	write(t, dir, "slapd.conf", `
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
`+schemata+`
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
rootDSE `+filepath.Join(dir, "root.ldif")+`
`+config+`
database mdb
suffix "`+suffix+`"
rootdn "`+rootDN+`"
rootpw `+rootPW+`
directory `+dir+`
overlay memberof
limits dn.exact="`+robotDN+`" size.soft=5 size.hard=5 size.pr=3 size.prtotal=unlimited
access to * by dn.exact="`+robotDN+`" read by anonymous auth
`)
	d := &directory{t: t}
	for range 10 { // the port may be taken meanwhile
		if err = d.start(program, scheme, filepath.Join(dir, "slapd.conf")); err == nil {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.stop)
	d.add(suffix, "objectClass", "dcObject", "objectClass", "organization", "dc", "example", "o", "Example")
	for _, unit := range []string{"people", "groups", "robots"} {
		d.add("ou="+unit+","+suffix, "objectClass", "organizationalUnit", "ou", unit)
	}
	d.add(robotDN, "objectClass", "account", "objectClass", "simpleSecurityObject", "uid", "robot", "userPassword", robotPW)
	return d
}

func (d *directory) start(program, scheme, config string) error {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	d.url = scheme + "://" + free.Addr().String()
	if err := free.Close(); err != nil {
		return err
	}
	var output strings.Builder
	d.server = exec.Command(program, "-d", "0", "-f", config, "-h", d.url)
	d.server.Stderr = &output
	if err := d.server.Start(); err != nil {
		return err
	}
	gone := make(chan error, 1)
	go func() { gone <- d.server.Wait() }()
	ctx, cancel := context.WithTimeout(d.t.Context(), 20*time.Second)
	defer cancel()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		conn, err := ldap.DialURL(d.url, ldap.DialWithTLSConfig(&tls.Config{InsecureSkipVerify: true}))
		if err == nil {
			if err := conn.Bind(rootDN, rootPW); err != nil {
				d.t.Fatal(err)
			}
			d.admin = conn
			d.stop = func() {
				_ = conn.Close()
				_ = d.server.Process.Kill()
				<-gone
				gone <- nil
			}
			return nil
		}
		select {
		case err := <-gone:
			return fmt.Errorf("slapd: %w: %s", err, output.String())
		case <-ctx.Done():
			_ = d.server.Process.Kill()
			return errors.Join(err, <-gone)
		case <-ticker.C:
		}
	}
}

// add adds an entry: attributes and values, in turn.
func (d *directory) add(dn string, attributes ...string) {
	d.t.Helper()
	request := ldap.NewAddRequest(dn, nil)
	for i := 0; i < len(attributes); i += 2 {
		request.Attribute(attributes[i], []string{attributes[i+1]})
	}
	merged := map[string][]string{}
	var order []string
	for _, a := range request.Attributes {
		if merged[a.Type] == nil {
			order = append(order, a.Type)
		}
		merged[a.Type] = append(merged[a.Type], a.Vals...)
	}
	request.Attributes = nil
	for _, name := range order {
		request.Attribute(name, merged[name])
	}
	if err := d.admin.Add(request); err != nil {
		d.t.Fatalf("adding %s: %v", dn, err)
	}
}

func (d *directory) person(name string, more ...string) string {
	d.t.Helper()
	dn := "uid=" + name + ",ou=people," + suffix
	d.add(dn, append([]string{"objectClass", "inetOrgPerson", "uid", name, "cn", strings.ToUpper(name), "sn", name, "mail", name + "@example.net"}, more...)...)
	return dn
}

func (d *directory) group(name string, members ...string) string {
	d.t.Helper()
	dn := "cn=" + name + ",ou=groups," + suffix
	attributes := []string{"objectClass", "groupOfNames", "cn", name, "description", "All " + name}
	for _, m := range members {
		attributes = append(attributes, "member", m)
	}
	d.add(dn, attributes...)
	return dn
}

func write(t *testing.T, dir, name, content string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// certificate makes a certificate for 127.0.0.1 that signs itself.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ds.example.net"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	return write(t, dir, "cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))),
		write(t, dir, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})))
}

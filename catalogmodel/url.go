package catalogmodel

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

// validURL reports whether s is an absolute URL by the URL Standard (https://url.spec.whatwg.org), by which browsers and
// Backstage go; net/url follows RFC 3986, which accepts and refuses other things. Of the standard's mapping of international
// domain names only the coarse rules are here: labels made of letters, marks, digits and symbols, and no look into Punycode.
func validURL(s string) bool {
	s = strings.TrimFunc(s, func(r rune) bool { return r <= ' ' })
	if strings.ContainsAny(s, "\t\n\r") {
		s = strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(s)
	}
	scheme, rest, ok := strings.Cut(s, ":")
	if !ok || !validScheme(scheme) {
		return false
	}
	switch strings.ToLower(scheme) {
	case "http", "https", "ws", "wss", "ftp":
		rest = strings.TrimLeft(rest, `/\`)
		return validAuthority(rest[:indexOr(rest, `/\?#`)], true)
	case "file":
		if len(rest) < 2 || !isSlash(rest[0]) || !isSlash(rest[1]) {
			return true
		}
		rest = rest[2:]
		host := rest[:indexOr(rest, `/\?#`)]
		return host == "" || isDriveLetter(host) || validHost(host)
	}
	rest, ok = strings.CutPrefix(rest, "//")
	return !ok || validAuthority(rest[:indexOr(rest, "/?#")], false)
}

func isSlash(c byte) bool { return c == '/' || c == '\\' }

func isDriveLetter(s string) bool {
	return len(s) == 2 && isAlnum(s[0]) && s[0] > '9' && (s[1] == ':' || s[1] == '|')
}

func indexOr(s, chars string) int {
	if i := strings.IndexAny(s, chars); i >= 0 {
		return i
	}
	return len(s)
}

func validScheme(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isAlnum(c) && (i == 0 || c != '+' && c != '-' && c != '.') {
			return false
		}
	}
	return s != "" && s[0] > '9'
}

// validAuthority checks [credentials@]host[:port]. Schemes that the standard calls special need a host, and a domain for it.
func validAuthority(s string, special bool) bool {
	credentials := strings.LastIndexByte(s, '@')
	s = s[credentials+1:]
	host, port := s, ""
	if i := strings.LastIndexByte(s, ':'); i > strings.LastIndexByte(s, ']') {
		host, port = s[:i], s[i+1:]
	}
	if host == "" {
		return !special && credentials < 0 && s == ""
	}
	if port != "" {
		if digits, rest := cutDigits(port); rest != "" {
			return false
		} else if n, err := strconv.Atoi(digits); err != nil || n > 65535 {
			return false
		}
	}
	if special {
		return validHost(host)
	}
	return host[0] == '[' && validIPv6(host) || !strings.ContainsAny(host, forbiddenInHost)
}

const forbiddenInHost = "\x00\t\n\r #/:<>?@[\\]^|"

func validIPv6(host string) bool {
	inner, ok := strings.CutSuffix(strings.TrimPrefix(host, "["), "]")
	addr, err := netip.ParseAddr(inner)
	return ok && err == nil && addr.Is6() && addr.Zone() == ""
}

func validHost(host string) bool {
	if host[0] == '[' {
		return validIPv6(host)
	}
	host = strings.Map(narrow, percentDecode(host))
	if !validDomain(host) {
		return false
	}
	last := strings.TrimSuffix(host, ".")
	last = last[strings.LastIndexByte(last, '.')+1:]
	if _, ok := ipv4Number(last); ok || last != "" && strings.Trim(last, "0123456789") == "" {
		return validIPv4(strings.Split(strings.TrimSuffix(host, "."), "."))
	}
	return true
}

// narrow maps the full-width forms of ASCII and the other full stops to the characters that domains take them for.
func narrow(r rune) rune {
	switch {
	case r >= '！' && r <= '～':
		return r - '！' + '!'
	case r == '。' || r == '｡':
		return '.'
	}
	return r
}

// validDomain checks the characters of a domain, which may, surprisingly, be nothing but dots.
func validDomain(host string) bool {
	labelStart, empty := true, true
	for _, r := range host {
		switch {
		case r == '.':
			labelStart, empty = true, false
			continue
		case r == '\u00ad' || r == '\u200b' || r == '\u2060' || r == '\ufeff':
			continue // left out of domains
		case r < 0x80:
			if r <= ' ' || r == 0x7f || r == '%' || strings.ContainsRune(forbiddenInHost, r) {
				return false
			}
		case r == unicode.ReplacementChar || !unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.S, unicode.P),
			labelStart && unicode.Is(unicode.M, r):
			return false
		}
		labelStart, empty = false, false
	}
	return !empty
}

func percentDecode(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if i+2 < len(s) && s[i] == '%' {
			if decoded, err := url.PathUnescape(s[i : i+3]); err == nil {
				b.WriteString(decoded)
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return strings.ToValidUTF8(b.String(), "\uFFFD")
}

func validIPv4(parts []string) bool {
	if len(parts) > 4 {
		return false
	}
	for i, part := range parts {
		n, ok := ipv4Number(part)
		limit := uint64(256)
		if i == len(parts)-1 {
			limit = 1 << (8 * (5 - len(parts)))
		}
		if !ok || n >= limit {
			return false
		}
	}
	return true
}

// ipv4Number reads a part of an IPv4 address, which may be decimal, octal (0…) or hexadecimal (0x…).
func ipv4Number(s string) (uint64, bool) {
	if s == "" {
		return 0, false
	}
	base := 10
	switch {
	case len(s) >= 2 && (s[:2] == "0x" || s[:2] == "0X"):
		s, base = s[2:], 16
	case len(s) >= 2 && s[0] == '0':
		s, base = s[1:], 8
	}
	if s == "" {
		return 0, true
	}
	if s[0] == '+' || s[0] == '-' || s[0] == '_' {
		return 0, false
	}
	n, err := strconv.ParseUint(s, base, 64)
	if err != nil {
		if errors, ok := err.(*strconv.NumError); ok && errors.Err == strconv.ErrRange {
			return 1 << 63, true // a number, but too large
		}
		return 0, false
	}
	return n, true
}

package httpclient

import (
	"net/http"
	"net/textproto"
	"strings"
)

// headerCopy is a header whose values share one array, as far as it goes.
type headerCopy struct {
	header http.Header
	values []string
}

// newHeaderCopy makes an empty header for about so many values.
func newHeaderCopy(size int) headerCopy {
	return headerCopy{make(http.Header, size), make([]string, 0, size)}
}

// set copies values, without what could begin another header and the spaces around them.
func (c *headerCopy) set(name string, values ...string) {
	from := len(c.values)
	for _, v := range values {
		if strings.IndexByte(v, '\r') >= 0 || strings.IndexByte(v, '\n') >= 0 {
			v = strings.NewReplacer("\r", " ", "\n", " ").Replace(v)
		}
		c.values = append(c.values, textproto.TrimString(v))
	}
	c.header[name] = c.values[from:len(c.values):len(c.values)]
}

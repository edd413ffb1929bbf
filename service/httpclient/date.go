package httpclient

import (
	"net/http"
	"sync/atomic"
	"time"
)

// dates makes the Date header of answers, once a second. Safe for concurrent use.
type dates struct{ last atomic.Pointer[date] }

type date struct {
	second int64
	text   string
}

func (d *dates) now() string {
	now := time.Now()
	if last := d.last.Load(); last != nil && last.second == now.Unix() {
		return last.text
	}
	made := &date{now.Unix(), now.UTC().Format(http.TimeFormat)}
	d.last.Store(made)
	return made.text
}

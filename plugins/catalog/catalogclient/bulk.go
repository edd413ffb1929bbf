package catalogclient

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"

	"github.com/portico-dev/portico/catalogmodel"
)

// Export answers all entities for which one of the filters, if there are any, holds, in the order of their refs, and the cursor from which
// [Client.Changes] and [Client.Follow] tell what has changed since. The entities are read while the sequence is; it goes on by itself where
// a connection was lost, three times, and ends with the first error.
func (c *Client) Export(ctx context.Context, filters ...string) (cursor string, entities iter.Seq2[catalogmodel.Entity, error], err error) {
	open := func(after string) (*http.Response, error) {
		values := url.Values{"filter": filters}
		if after != "" {
			values.Set("after", after)
		}
		return c.open(ctx, http.MethodGet, "/export?"+values.Encode(), nil, nil)
	}
	res, err := open("")
	if err != nil {
		return "", nil, fmt.Errorf("catalog: exporting: %w", err)
	}
	return res.Header.Get("Catalog-Cursor"), func(yield func(catalogmodel.Entity, error) bool) {
		last := ""
		for attempts := 3; ; attempts-- {
			done, err := readExport(res.Body, &last, func(e catalogmodel.Entity) bool { return yield(e, nil) })
			if done {
				return
			}
			if attempts > 0 && ctx.Err() == nil {
				if res, err = open(last); err == nil {
					continue
				}
			}
			yield(catalogmodel.Entity{}, fmt.Errorf("catalog: exporting: %w", err))
			return
		}
	}, nil
}

// readExport reads entities until the stream, or who takes them, ends, and keeps the ref of the last one.
func readExport(body io.ReadCloser, last *string, take func(catalogmodel.Entity) bool) (done bool, err error) {
	defer func() { _ = body.Close() }() // its end is told by reading
	lines := bufio.NewReaderSize(body, 64<<10)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return true, nil
		} else if err != nil {
			return false, err
		}
		e, err := catalogmodel.ParseJSON(line)
		if err != nil {
			return false, err
		}
		if *last = e.Ref().String(); !take(e) {
			return true, nil
		}
	}
}

// Import says what to import.
type Import struct {
	// Provider names what the entities are kept under.
	Provider string
	// Full has the entities replace everything that was imported for the provider before.
	Full bool
	// Entities are the entities.
	Entities iter.Seq[catalogmodel.Entity]
	// Removed are entities that the provider does not bring any more. A full import has none.
	Removed []catalogmodel.Ref
}

// ImportReport tells how an import went.
type ImportReport struct {
	// Lines is the number of entities that were sent, also those to be removed.
	Lines int `json:"lines"`
	// Accepted and Removed are the numbers of entities that are stored, and that are not brought any more.
	Accepted int `json:"accepted"`
	Removed  int `json:"removed"`
	// Failed is the number of entities that were refused, and Errors are the first thousand of them.
	Failed int           `json:"failed"`
	Errors []ImportError `json:"errors"`
	// Kept tells that a full import has not removed what is missing, as some entities were refused.
	Kept bool `json:"kept"`
}

// ImportError is an entity that was refused.
type ImportError struct {
	// Line is its number, from 1 on; removed ones come first.
	Line      int    `json:"line"`
	EntityRef string `json:"entityRef"`
	Message   string `json:"message"`
}

// Import sends entities to the catalog, as a stream of any length. Doing the same again changes nothing. It needs the credentials of a
// service.
func (c *Client) Import(ctx context.Context, i Import) (report ImportReport, err error) {
	mode := "delta"
	if i.Full {
		mode = "full"
	}
	reader, writer := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = writer.CloseWithError(i.write(writer)) // never fails
	}()
	defer func() {
		_ = reader.Close() // never fails
		<-done
	}()
	values := url.Values{"provider": {i.Provider}, "mode": {mode}}
	res, err := c.open(ctx, http.MethodPost, "/import?"+values.Encode(), http.Header{"Content-Type": {"application/x-ndjson"}}, reader)
	if err == nil {
		err = errors.Join(json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(&report), res.Body.Close())
	}
	if err != nil {
		return report, fmt.Errorf("catalog: importing for %s: %w", i.Provider, err)
	}
	return report, nil
}

// write writes the lines.
func (i Import) write(w io.Writer) error {
	out := bufio.NewWriterSize(w, 64<<10)
	for _, ref := range i.Removed {
		line, err := json.Marshal(map[string]string{"delete": ref.String()})
		if err != nil {
			return err
		}
		if _, err := out.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	if i.Entities != nil {
		for e := range i.Entities {
			if _, err := out.Write(append(e.AppendJSON(nil), '\n')); err != nil {
				return err
			}
		}
	}
	return out.Flush()
}

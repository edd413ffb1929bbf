package api

import (
	"net/http"
	"slices"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog/internal/index"
	"github.com/portico-dev/portico/plugins/catalog/internal/query"
)

// piece is about how many bytes of a long answer are written at a time.
const piece = 256 << 10

// none stands for an entity that does not exist.
const none = "null"

// framing is what stands before and after the entities of an answer.
type framing struct{ before, after string }

// array is the framing of nothing but entities.
var array = framing{"[", "]"}

// answer answers entities, projected to fields, with commas in between. What is long is written piece by piece. Most of what a request needs is
// room for its answer, so that this is used again.
func (a *API) answer(c echo.Context, fields query.Fields, entities []index.Entity, frame framing) error {
	size := len(frame.before) + len(frame.after) + max(0, len(entities)-1)
	for _, entity := range entities {
		size += sizeOf(entity)
	}
	room := a.rooms.Get().(*[]byte)
	defer a.rooms.Put(room)
	*room = append(slices.Grow((*room)[:0], min(size, piece+piece/4)), frame.before...)
	for i, entity := range entities {
		if i > 0 {
			*room = append(*room, ',')
		}
		var err error
		if *room, err = appendEntity(*room, fields, entity, size > piece); err != nil {
			return err
		}
		if len(*room) < piece {
			continue
		}
		if !c.Response().Committed {
			if len(fields) == 0 {
				setLength(c, size)
			}
			c.Response().Header().Set(echo.HeaderContentType, jsonType)
			c.Response().WriteHeader(http.StatusOK)
		}
		if _, err := c.Response().Write(*room); err != nil {
			return nil // the client has gone
		}
		*room = (*room)[:0]
	}
	*room = append(*room, frame.after...)
	if c.Response().Committed {
		_, _ = c.Response().Write(*room)
		return nil
	}
	setLength(c, len(*room)) // without it, net/http sends what is long in chunks, which takes more writes and reads
	return c.Blob(http.StatusOK, jsonType, *room)
}

func setLength(c echo.Context, size int) {
	c.Response().Header().Set(echo.HeaderContentLength, strconv.Itoa(size))
}

// sizeOf is the size of an entity that is not projected.
func sizeOf(entity index.Entity) int {
	if !entity.Exists() {
		return len(none)
	}
	return entity.Size()
}

// appendEntity appends an entity, which may be one of very many.
func appendEntity(to []byte, fields query.Fields, entity index.Entity, many bool) ([]byte, error) {
	switch {
	case !entity.Exists():
		return append(to, none...), nil
	case len(fields) == 0 && many:
		return entity.AppendJSON(to), nil
	case len(fields) == 0:
		return entity.AppendLikely(to), nil
	}
	e, err := catalogmodel.ParseJSON(entity.JSON())
	if err != nil {
		return to, err
	}
	return fields.Select(e).AppendJSON(to), nil
}

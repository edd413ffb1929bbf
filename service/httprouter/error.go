package httprouter

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/internal/panics"
	"github.com/portico-dev/portico/service"
)

// statusClientGone is what the request log shows for requests that the client did not wait for.
const statusClientGone = 499

// errorAnswer is how an error is told to the client.
type errorAnswer struct {
	status  int
	name    string
	message string
	details map[string]any
	logID   string // set when the message is only in the log
}

// describe tells what the client may know of an error.
func describe(err error) errorAnswer {
	if named := (*service.Error)(nil); errors.As(err, &named) {
		return errorAnswer{status: named.Name.Status(), name: string(named.Name), message: named.Message, details: named.Details}
	}
	if name := service.ErrorName(""); errors.As(err, &name) {
		return errorAnswer{status: name.Status(), name: string(name), message: err.Error()}
	}
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return errorAnswer{status: http.StatusRequestEntityTooLarge, name: "PayloadTooLargeError",
			message: fmt.Sprintf("Request body is too large, the limit is %d bytes", tooLarge.Limit)}
	}
	if slow := (*slowBodyError)(nil); errors.As(err, &slow) {
		return errorAnswer{status: http.StatusRequestTimeout, name: "RequestTimeoutError", message: slow.Error()}
	}
	if answered := (*echo.HTTPError)(nil); errors.As(err, &answered) && answered.Code >= 400 && answered.Code <= 599 {
		message, ok := answered.Message.(string)
		if !ok {
			message = fmt.Sprint(answered.Message)
		}
		return errorAnswer{status: answered.Code, name: nameOf(answered.Code), message: message}
	}
	var id [10]byte
	_, _ = rand.Read(id[:]) // never fails
	logID := hex.EncodeToString(id[:])
	return errorAnswer{status: http.StatusInternalServerError, name: "Error", message: "An internal error occurred logId=" + logID, logID: logID}
}

// nameOf is the error name for a status: Backstage's where there is one, else as the http-errors package makes them.
func nameOf(status int) string {
	for _, name := range []service.ErrorName{service.InputError, service.AuthenticationError, service.NotAllowedError,
		service.NotFoundError, service.ConflictError, service.NotImplementedError, service.ServiceUnavailableError} {
		if name.Status() == status {
			return string(name)
		}
	}
	text := http.StatusText(status)
	switch status {
	case http.StatusRequestEntityTooLarge:
		text = "Payload Too Large"
	case http.StatusInternalServerError:
		return "InternalServerError"
	}
	if text == "" {
		return "Error"
	}
	return strings.NewReplacer(" ", "", "-", "", "'", "").Replace(text) + "Error"
}

// answerError answers a request whose handler has failed. mount is what the handler's paths are below.
func answerError(w http.ResponseWriter, r *http.Request, mount string, err error, log *slog.Logger) {
	if named := (*service.Error)(nil); unmatched(err) && !errors.As(err, &named) {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		if !errors.Is(context.Cause(r.Context()), errStopped) {
			w.WriteHeader(statusClientGone)
			return
		}
		err = service.ServiceUnavailableError.Errorf("Service is shutting down")
	}
	answer := describe(err)
	if answer.status >= http.StatusInternalServerError {
		logError(r, log, answer, err)
	}
	if answer.status == http.StatusNotModified {
		w.WriteHeader(answer.status)
		return
	}
	h := w.Header()
	for _, name := range []string{"Content-Length", "Content-Encoding", "Content-Disposition", "Etag"} {
		delete(h, name) // of the answer that it did not become
	}
	h["Content-Type"] = jsonType
	w.WriteHeader(answer.status)
	if r.Method == http.MethodHead {
		return
	}
	if _, err := w.Write(errorBody(answer, r, mount)); err != nil {
		log.DebugContext(r.Context(), "The client went away before its answer", "error", err)
	}
}

// errorBody is the JSON form of an error that Backstage's clients read.
func errorBody(answer errorAnswer, r *http.Request, mount string) []byte {
	fields := map[string]any{}
	for name, value := range answer.details {
		fields[name] = value
	}
	fields["name"], fields["message"] = answer.name, answer.message
	type request struct {
		Method string `json:"method"`
		URL    string `json:"url"`
	}
	type response struct {
		StatusCode int `json:"statusCode"`
	}
	body := struct {
		Error    map[string]any `json:"error"`
		Request  request        `json:"request"`
		Response response       `json:"response"`
	}{fields, request{r.Method, urlBelow(r, mount)}, response{answer.status}}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if encoder.Encode(body) != nil {
		out.Reset()
		body.Error = map[string]any{"name": answer.name, "message": answer.message} // details that JSON can't tell
		_ = encoder.Encode(body)                                                    // strings and a number can't fail
	}
	return bytes.TrimRight(out.Bytes(), "\n")
}

// urlBelow is the path and query of a request as its handler's routes see them.
func urlBelow(r *http.Request, mount string) string {
	asked := r.URL
	if other, ok := r.Context().Value(otherSlashKey{}).(*url.URL); ok {
		asked = other
	}
	below := strings.TrimPrefix(asked.RequestURI(), mount)
	if !strings.HasPrefix(below, "/") {
		below = "/" + below
	}
	return below
}

func logError(r *http.Request, log *slog.Logger, answer errorAnswer, err error) {
	attrs := panics.Attrs(err, "type", "errorHandler", "method", r.Method, "path", r.URL.Path)
	message := fmt.Sprintf("Request failed with status %d", answer.status)
	if answer.logID != "" {
		attrs = append(attrs, "logId", answer.logID)
	}
	if named := (*service.Error)(nil); errors.As(err, &named) && named.Cause != nil {
		attrs = append(attrs, "cause", named.Cause)
	}
	log.ErrorContext(r.Context(), message, attrs...)
}

// contain turns what recover has returned into an error. The panic that ends an answer on purpose goes on.
func contain(value any) error {
	if value == http.ErrAbortHandler { //nolint:errorlint // net/http compares it like this too
		panic(value)
	}
	return panics.New(value)
}

package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/extension"
	"github.com/portico-dev/portico/service"
)

// HTTPPostIngress is a topic whose events come by HTTP.
type HTTPPostIngress struct {
	// Topic is that of the events, and the last part of the route. Required: letters, digits, and - _ . between them.
	Topic string
	// Validate tells whether a request comes from whom it may come. An error refuses it, with the status and message of a service error:
	// service.NotAllowedError.Errorf("invalid signature"). Nil lets anybody publish. It is called by several goroutines at once.
	Validate func(ctx context.Context, r *Request) error
}

// Request is a request with an event.
type Request struct {
	// Header becomes the metadata of the event. A secret that was checked is to be deleted from it.
	Header http.Header
	// Body is what was sent, byte for byte.
	Body []byte
	// Payload is what a [BodyParser] has made of it.
	Payload json.RawMessage
}

// BodyParser makes JSON of a body. The parameters are those of its Content-Type, such as charset. What can't be read is an InputError.
type BodyParser func(body []byte, parameters map[string]string) (json.RawMessage, error)

// Ingresses is where modules say which events come by HTTP: Backstage's extension point of the events plugin.
type Ingresses interface {
	// AddHTTPPostIngress opens the route of a topic. A topic that is there already or can't have a route is an error.
	AddHTTPPostIngress(ingress HTTPPostIngress) error
	// AddHTTPPostBodyParser has bodies of a type of content read, for all topics. One that replaces an earlier parser wins.
	AddHTTPPostBodyParser(contentType string, parser BodyParser)
}

// IngressPoint is the extension point for Ingresses.
var IngressPoint = extension.NewPoint[Ingresses]("events.ingress")

// ingresses implements Ingresses.
type ingresses struct {
	byTopic map[string]HTTPPostIngress
	parsers map[string]BodyParser
}

func newIngresses() *ingresses {
	return &ingresses{byTopic: map[string]HTTPPostIngress{}, parsers: map[string]BodyParser{echo.MIMEApplicationJSON: parseJSON}}
}

// AddHTTPPostIngress implements Ingresses.
func (i *ingresses) AddHTTPPostIngress(ingress HTTPPostIngress) error {
	if !topicName.MatchString(ingress.Topic) {
		return fmt.Errorf("events: the topic %q has to be letters, digits, and - _ . between them", ingress.Topic)
	}
	if _, ok := i.byTopic[ingress.Topic]; ok {
		return fmt.Errorf("events: two modules take the events of topic %s; keep one of them", ingress.Topic)
	}
	i.byTopic[ingress.Topic] = ingress
	return nil
}

// AddHTTPPostBodyParser implements Ingresses.
func (i *ingresses) AddHTTPPostBodyParser(contentType string, parser BodyParser) {
	i.parsers[strings.ToLower(contentType)] = parser
}

func parseJSON(body []byte, parameters map[string]string) (json.RawMessage, error) {
	if charset := parameters["charset"]; charset != "" && !slices.Contains([]string{"utf-8", "utf8", "us-ascii", "ascii"}, strings.ToLower(charset)) {
		return nil, echo.NewHTTPError(http.StatusUnsupportedMediaType, fmt.Sprintf("Unsupported charset: %s", charset))
	}
	if !json.Valid(body) {
		return nil, service.InputError.Errorf("The body is not JSON")
	}
	return body, nil
}

// handler takes the events of one topic.
type handler struct {
	ingress HTTPPostIngress
	parsers map[string]BodyParser
	events  service.Events
}

func (h handler) receive(c echo.Context) error {
	r := c.Request()
	contentType, parameters, err := mime.ParseMediaType(r.Header.Get(echo.HeaderContentType))
	if err != nil {
		return service.InputError.Errorf("The header Content-Type can't be read: %w", err)
	}
	parse, ok := h.parsers[contentType]
	if !ok {
		return echo.NewHTTPError(http.StatusUnsupportedMediaType, fmt.Sprintf("Unsupported media type: %s. A module can add a parser for it", contentType))
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	payload, err := parse(body, parameters)
	if err != nil {
		return err
	}
	request := &Request{Header: r.Header.Clone(), Body: body, Payload: payload}
	if h.ingress.Validate != nil {
		err := h.ingress.Validate(r.Context(), request)
		if refused := (*service.Error)(nil); errors.As(err, &refused) {
			return c.JSON(refused.Name.Status(), map[string]string{"message": refused.Message})
		}
		if err != nil {
			return fmt.Errorf("events: checking an event of topic %s: %w", h.ingress.Topic, err)
		}
	}
	event := service.Event{Topic: h.ingress.Topic, Payload: payload, Metadata: metadata(request.Header)}
	if err := h.events.Publish(r.Context(), event); err != nil {
		return err
	}
	return c.JSON(http.StatusAccepted, map[string]string{"status": "accepted"})
}

// metadata are the headers by their names in lower case, without credentials: events are stored.
func metadata(header http.Header) map[string][]string {
	m := make(map[string][]string, len(header))
	for name, values := range header {
		switch name {
		case echo.HeaderAuthorization, "Proxy-Authorization", echo.HeaderCookie:
		default:
			m[strings.ToLower(name)] = values
		}
	}
	return m
}

package catalog

import (
	"context"

	"github.com/portico-dev/portico/extension"
	"github.com/portico-dev/portico/service"
)

// SCMEvents lets modules tell the catalog what happens in systems for source control. What it does then, catalog.scmEvents says.
type SCMEvents interface {
	// AddSCMEventSource adds a source. Its id is unique in a catalog.
	AddSCMEventSource(SCMEventSource)
}

// SCMEventsPoint is the extension point for [SCMEvents].
var SCMEventsPoint = extension.NewPoint[SCMEvents]("catalog.scmEvents")

// SCMEventSource makes sense of the webhooks of one system.
type SCMEventSource struct {
	// ID names the subscription to the topics.
	ID string
	// Topics are those of the webhooks. Each event is told to one replica.
	Topics []string
	// Translate tells what an event is about, the first thing first. After an error, the event is told again: one that would be no better
	// the next time is about nothing.
	Translate func(context.Context, service.Event) ([]SCMEvent, error)
}

// SCMEventType is what kind of thing has happened.
type SCMEventType string

// The types of events, with the names of Backstage. A location is a file, at the URL by which it is registered.
const (
	// LocationUpdated is about a file that was created or changed.
	LocationUpdated SCMEventType = "location.updated"
	// LocationDeleted is about a file that is gone.
	LocationDeleted SCMEventType = "location.deleted"
	// LocationMoved is about a file that has another path now.
	LocationMoved SCMEventType = "location.moved"
	// RepositoryUpdated is about a repository in another state: archived or made public, for instance.
	RepositoryUpdated SCMEventType = "repository.updated"
	// RepositoryDeleted is about a repository that is gone.
	RepositoryDeleted SCMEventType = "repository.deleted"
	// RepositoryMoved is about a repository, or a branch of it, whose files have URLs that begin in another way now.
	RepositoryMoved SCMEventType = "repository.moved"
)

// SCMEvent is something that has happened to a file or a repository.
type SCMEvent struct {
	// Type is what has happened.
	Type SCMEventType
	// URL is that of the file, or what the URLs of all files of the repository begin with.
	URL string
	// MovedTo is what the URL is now, of what has moved.
	MovedTo string
}

// scmEvents is what modules have added.
type scmEvents struct{ sources []SCMEventSource }

func newSCMEvents() *scmEvents { return &scmEvents{} }

func (s *scmEvents) AddSCMEventSource(source SCMEventSource) { s.sources = append(s.sources, source) }

package ingest

import (
	"crypto/sha1" //nolint:gosec // names of generated entities, not a secret
	"encoding/hex"
	"regexp"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog/internal/store"
)

// Types of locations.
const (
	fileType = "file"
	urlType  = "url"
)

// LocationEntity is the entity that stands for what spec, which has a type and a target, points to. Its name is derived from these.
func LocationEntity(spec catalogmodel.LocationSpec) (catalogmodel.Entity, error) {
	location := catalogmodel.LocationRef{Type: spec.Type, Target: spec.Target}
	e, err := catalogmodel.Location.New(locationName(location), spec)
	if err != nil {
		return e, err
	}
	e = e.WithAnnotation(catalogmodel.AnnotationManagedByLocation, location.String())
	return e.WithAnnotation(catalogmodel.AnnotationManagedByOriginLocation, location.String()), nil
}

// LocationEntityRef is the ref of the entity that stands for a location.
func LocationEntityRef(location catalogmodel.LocationRef) string {
	return catalogmodel.Ref{Kind: "location", Namespace: catalogmodel.DefaultNamespace, Name: locationName(location)}.String()
}

// RegisteredEntity is the entity that stands for a location that was registered over the API. It keeps its name when the location changes.
func RegisteredEntity(l store.RegisteredLocation) (store.Ingested, error) {
	ref, err := catalogmodel.ParseRef(l.EntityRef, catalogmodel.RefDefaults{})
	if err != nil {
		return store.Ingested{}, err
	}
	location := catalogmodel.LocationRef{Type: l.Type, Target: l.Target}
	e, err := LocationEntity(catalogmodel.LocationSpec{Type: l.Type, Target: l.Target})
	if err != nil {
		return store.Ingested{}, err
	}
	return store.Ingested{Entity: e.With(catalogmodel.StringValue(ref.Name), "metadata", "name"), LocationKey: location.String()}, nil
}

func locationName(location catalogmodel.LocationRef) string {
	sum := sha1.Sum([]byte(location.String())) //nolint:gosec // the names are Backstage's
	return "generated-" + hex.EncodeToString(sum[:])
}

// locationsOf are where the entity was read, and the registered location that led there.
func locationsOf(e catalogmodel.Entity) (own, origin catalogmodel.LocationRef, err error) {
	if own, err = locationOf(e, catalogmodel.AnnotationManagedByLocation); err == nil {
		origin, err = locationOf(e, catalogmodel.AnnotationManagedByOriginLocation)
	}
	return own, origin, err
}

func locationOf(e catalogmodel.Entity, annotation string) (catalogmodel.LocationRef, error) {
	text := e.Annotation(annotation)
	if text == "" {
		return catalogmodel.LocationRef{}, inputError("Entity '%s' does not have the annotation %s", e.Ref(), annotation)
	}
	ref, err := catalogmodel.ParseLocationRef(text)
	if err != nil {
		return ref, inputError("The annotation %s of entity '%s': %s", annotation, e.Ref(), err)
	}
	return ref, nil
}

// commit is a part of a URL that names a commit: what it leads to can't be edited.
var commit = regexp.MustCompile(`\b[0-9a-f]{40,}\b`)

// annotate adds where the entity was read, unless it says so itself, and links to there. One that the entity leaves empty stays so.
func (r *run) annotate(e catalogmodel.Entity) catalogmodel.Entity {
	from := r.from.Location
	if from.Type != urlType {
		return e
	}
	links := map[string]string{catalogmodel.AnnotationViewURL: from.Target}
	if forge, ok := r.integrations.ByURL(from.Target); ok {
		if edit, err := forge.EditURL(from.Target); err == nil && !commit.MatchString(from.Target) {
			links[catalogmodel.AnnotationEditURL] = edit
		}
		if dir, err := forge.ResolveURL("./", from.Target, 0); err == nil {
			links[catalogmodel.AnnotationSourceLocation] = catalogmodel.LocationRef{Type: urlType, Target: dir}.String()
		}
	}
	for _, name := range []string{catalogmodel.AnnotationViewURL, catalogmodel.AnnotationEditURL, catalogmodel.AnnotationSourceLocation} {
		if link := links[name]; link != "" && !e.Metadata().Get("annotations", name).Exists() {
			e = e.WithAnnotation(name, link)
		}
	}
	return e
}

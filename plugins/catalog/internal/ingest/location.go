package ingest

import (
	"crypto/sha1" //nolint:gosec // names of generated entities, not a secret
	"encoding/hex"

	"github.com/portico-dev/portico/catalogmodel"
)

// Types of locations.
const (
	fileType = "file"
	urlType  = "url"
)

// LocationEntity is the entity that stands for a registered location. Its name is derived from the location.
func LocationEntity(location catalogmodel.LocationRef) (catalogmodel.Entity, error) {
	sum := sha1.Sum([]byte(location.String())) //nolint:gosec // the names are Backstage's
	e, err := catalogmodel.Location.New("generated-"+hex.EncodeToString(sum[:]),
		catalogmodel.LocationSpec{Type: location.Type, Target: location.Target})
	if err != nil {
		return e, err
	}
	e = e.WithAnnotation(catalogmodel.AnnotationManagedByLocation, location.String())
	return e.WithAnnotation(catalogmodel.AnnotationManagedByOriginLocation, location.String()), nil
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

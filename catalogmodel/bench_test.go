package catalogmodel_test

import (
	"bytes"
	"os"
	"testing"

	"github.com/portico-dev/portico/catalogmodel"
)

func component(tb testing.TB) (yaml, json []byte, entity catalogmodel.Entity) {
	tb.Helper()
	yaml, err := os.ReadFile("testdata/component.yaml")
	if err != nil {
		tb.Fatal(err)
	}
	for e, err := range catalogmodel.ReadYAML(bytes.NewReader(yaml), "component.yaml") {
		if err != nil {
			tb.Fatal(err)
		}
		entity = e
	}
	json = entity.AppendJSON(nil)
	return yaml, json, entity
}

// BenchmarkYAML reads and validates a typical Component from YAML.
func BenchmarkYAML(b *testing.B) {
	yaml, _, _ := component(b)
	registry := catalogmodel.Default()
	b.ReportAllocs()
	for b.Loop() {
		for e, err := range catalogmodel.ReadYAML(bytes.NewReader(yaml), "component.yaml") {
			if err != nil {
				b.Fatal(err)
			}
			if err := registry.Validate(e); err != nil {
				b.Fatal(err)
			}
		}
	}
	reportEntities(b)
}

// BenchmarkJSON reads and validates a typical Component from JSON.
func BenchmarkJSON(b *testing.B) {
	_, json, _ := component(b)
	registry := catalogmodel.Default()
	b.ReportAllocs()
	for b.Loop() {
		e, err := catalogmodel.ParseJSON(json)
		if err != nil {
			b.Fatal(err)
		}
		if err := registry.Validate(e); err != nil {
			b.Fatal(err)
		}
	}
	reportEntities(b)
}

// BenchmarkValidate validates a typical Component that is decoded already.
func BenchmarkValidate(b *testing.B) {
	_, _, e := component(b)
	registry := catalogmodel.Default()
	b.ReportAllocs()
	for b.Loop() {
		if err := registry.Validate(e); err != nil {
			b.Fatal(err)
		}
	}
	reportEntities(b)
}

// BenchmarkValidateInvalid validates a Component in which two things are wrong, which takes the schema library's report.
func BenchmarkValidateInvalid(b *testing.B) {
	_, _, e := component(b)
	e = e.Without("spec", "owner").With(catalogmodel.StringValue("No Tag"), "metadata", "tags")
	registry := catalogmodel.Default()
	b.ReportAllocs()
	for b.Loop() {
		if err := registry.Validate(e); err == nil {
			b.Fatal("valid")
		}
	}
	reportEntities(b)
}

// BenchmarkAnnotate is the write path of a server: read, validate, add two annotations, write.
func BenchmarkAnnotate(b *testing.B) {
	_, json, _ := component(b)
	registry := catalogmodel.Default()
	var buffer []byte
	b.ReportAllocs()
	for b.Loop() {
		e, err := catalogmodel.ParseJSON(json)
		if err != nil {
			b.Fatal(err)
		}
		if err := registry.Validate(e); err != nil {
			b.Fatal(err)
		}
		e = e.WithAnnotation(catalogmodel.AnnotationViewURL, "https://example.com/view").
			WithAnnotation(catalogmodel.AnnotationEditURL, "https://example.com/edit")
		buffer = e.AppendJSON(buffer[:0])
	}
	reportEntities(b)
}

// BenchmarkRelations generates the relations of a typical Component.
func BenchmarkRelations(b *testing.B) {
	_, _, e := component(b)
	registry := catalogmodel.Default()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := registry.Relations(e); err != nil {
			b.Fatal(err)
		}
	}
}

func reportEntities(b *testing.B) {
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entities/s")
}

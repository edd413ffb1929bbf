package catalog_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/auditor"
)

func TestAuditLog(t *testing.T) {
	t.Parallel()
	one := &source{name: "one"}
	b := backendtest.Start(t, catalog.Plugin(), module(one))
	one.full(t, parse(t, component("a", "team")))
	settle(t, b, 1)
	c := b.As(t, "user:default/auditee")
	c.Get("/api/catalog/entities/by-name/component/default/a")
	c.Get("/api/catalog/entities/by-name/component/default/nope")
	c.Do(http.MethodDelete, "/api/catalog/entities/by-uid/"+entity(t, c, "component/default/a")["metadata"].(map[string]any)["uid"].(string), nil)
	c.Post("/api/catalog/locations?dryRun=true", map[string]string{"type": "file", "target": "x"})

	type line struct {
		id       string
		severity service.AuditSeverity
		status   auditor.Status
		meta     string
	}
	var got []line
	for _, e := range b.AuditEntries() {
		if e.Plugin != "catalog" || e.Actor.ActorID != "user:default/auditee" {
			continue
		}
		way, _ := e.Meta["queryType"].(string)
		if way == "" {
			way, _ = e.Meta["actionType"].(string)
		}
		name, _ := e.Meta["name"].(string)
		got = append(got, line{e.EventID, e.Severity, e.Status, way + " " + name})
	}
	for _, want := range []line{
		{"entity-fetch", service.SeverityLow, auditor.StatusInitiated, "by-name a"},
		{"entity-fetch", service.SeverityLow, auditor.StatusSucceeded, "by-name a"},
		{"entity-fetch", service.SeverityLow, auditor.StatusFailed, "by-name nope"},
		{"entity-mutate", service.SeverityMedium, auditor.StatusSucceeded, "delete "},
		{"location-mutate", service.SeverityLow, auditor.StatusFailed, "create "},
	} {
		if !slices.Contains(got, want) {
			t.Errorf("%v is not in the audit log:\n%v", want, got)
		}
	}
}

package backendtest

import (
	"context"
	"slices"
	"sync"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/auditor"
)

// audit is what plugins have recorded.
type audit struct {
	mu      sync.Mutex
	entries []auditor.Entry
}

// auditor is the service.Auditor of tests. Entries are logged as usual, and kept.
func (b *Backend) auditor(d auditor.Dependencies, cfg service.Config) (service.Auditor, error) {
	log, err := auditor.Log(d.Log, cfg)
	return auditor.New(d, func(ctx context.Context, e auditor.Entry) error {
		b.audit.mu.Lock()
		b.audit.entries = append(b.audit.entries, e)
		b.audit.mu.Unlock()
		return log(ctx, e)
	}), err
}

// AuditEntries are what plugins have recorded with the service.Auditor so far, of each event its beginning and, when it has ended, its end.
func (b *Backend) AuditEntries() []auditor.Entry {
	b.audit.mu.Lock()
	defer b.audit.mu.Unlock()
	return slices.Clone(b.audit.entries)
}

// Package findings says what is wrong with a catalog-info.yaml. Both the server and the page of this example ask it, the page
// through WebAssembly, so they cannot disagree.
package findings

import (
	"errors"
	"strings"

	"github.com/portico-dev/portico/catalogmodel"
)

// Report is all there is to say about one file.
type Report struct {
	Entities []Entity  `json:"entities"` // in the order of the file; documents that cannot be read are left out
	Findings []Finding `json:"findings"` // in the order of the file; empty, never null, where all is well
}

// Entity is an entity that was found.
type Entity struct {
	Ref       string   `json:"ref"`
	Valid     bool     `json:"valid"`
	Relations []string `json:"relations"` // from this entity to others, such as "ownedBy group:default/team-a"
}

// Finding is one thing that is wrong, and where. Line and Column count from 1.
type Finding struct {
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Field   string `json:"field,omitempty"` // such as "metadata.name"; "" for a document that cannot be read
	Message string `json:"message"`
}

// In reports on text.
func In(text string) Report {
	report := Report{Entities: []Entity{}, Findings: []Finding{}}
	registry := catalogmodel.Default()
	for e, err := range catalogmodel.ReadYAML(strings.NewReader(text), "") {
		if err != nil {
			report.add(err)
			continue
		}
		entity := Entity{Ref: e.Ref().String(), Valid: true, Relations: []string{}}
		if err := registry.Validate(e); err != nil {
			entity.Valid = false
			report.add(err)
		} else if relations, err := registry.Relations(e); err != nil {
			entity.Valid = false
			report.add(err)
		} else {
			for _, r := range relations {
				if r.Source.Equal(e.Ref()) {
					entity.Relations = append(entity.Relations, r.Type+" "+r.Target.String())
				}
			}
		}
		report.Entities = append(report.Entities, entity)
	}
	return report
}

func (r *Report) add(err error) {
	var malformed *catalogmodel.SyntaxError
	var invalid *catalogmodel.ValidationError
	switch {
	case errors.As(err, &malformed):
		r.Findings = append(r.Findings, Finding{Line: malformed.Line, Column: malformed.Column, Message: malformed.Message})
	case errors.As(err, &invalid):
		for _, v := range invalid.Violations {
			r.Findings = append(r.Findings, Finding{Line: v.Position.Line, Column: v.Position.Column, Field: v.Field(), Message: v.Message})
		}
	default:
		r.Findings = append(r.Findings, Finding{Message: err.Error()})
	}
}

package backend

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
)

// configCommand does what `config check`, `config print` and `config schema` say.
func (b *Backend) configCommand(ctx context.Context, w io.Writer, command string) (err error) {
	plan, err := b.plan(ctx)
	if err != nil {
		return err
	}
	store, ok := b.config.(*config.Store)
	if !ok {
		return fmt.Errorf("the configuration of this backend is a %T, which the config commands can't look into", b.config)
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	schemas := schemasOf(plan)
	if command == "config schema" {
		return printSchema(w, schemas)
	}
	if err := store.Validate(schemas); err != nil {
		return err // without its schemas' consent nothing is printed: they tell what is secret
	}
	if command == "config print" {
		return printValues(w, store.Values())
	}
	for _, warning := range store.Warnings() {
		fmt.Fprintf(w, "warning: %s\n", warning)
	}
	_, err = fmt.Fprintln(w, "The configuration and the wiring of the backend are fine.")
	return err
}

func printSchema(w io.Writer, schemas service.ConfigSchemas) error {
	schema, err := config.Schema(schemas)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", bytes.TrimRight(schema, "\n"))
	return err
}

func printValues(w io.Writer, values []config.Value) error {
	out := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, v := range values {
		text, err := json.Marshal(v.Value)
		if err != nil {
			return fmt.Errorf("%s: %w", v.Key, err)
		}
		fmt.Fprintf(out, "%s\t%s\t%s\n", v.Key, text, v.Source)
	}
	return out.Flush()
}

package logger_test

import (
	"errors"
	"os"
	"regexp"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service/config"
	"github.com/portico-dev/portico/service/logger"
)

// withoutTime leaves the time out of what is logged, so that it is always the same.
type withoutTime struct{}

var timestamp = regexp.MustCompile(`"timestamp":"[^"]*",`)

func (withoutTime) Write(line []byte) (int, error) {
	_, err := os.Stdout.Write(timestamp.ReplaceAll(line, nil))
	return len(line), err
}

func Example() {
	cfg := config.Static(map[string]any{"backend": map[string]any{"logger": map[string]any{
		"level":     "warn",
		"overrides": []any{map[string]any{"matchers": map[string]any{"plugin": "catalog"}, "level": "info"}},
	}}})
	root, err := logger.New(cfg, logger.Options{Writer: withoutTime{}, Format: logger.FormatJSON, Getenv: func(string) string { return "" }})
	if err != nil {
		panic(err)
	}
	root.Info("not logged")
	root.Warn("Something is odd", "error", errors.New("no space left"))
	logger.ForPlugin(root, plugin.Metadata{ID: "catalog"}).Info("Processed", "entities", 3)
	// Output:
	// {"level":"warn","message":"Something is odd","service":"backstage","error":"no space left"}
	// {"level":"info","message":"Processed","service":"backstage","plugin":"catalog","entities":3}
}

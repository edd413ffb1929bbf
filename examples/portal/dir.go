package main

import (
	"os"
	"path/filepath"
	"runtime"
)

// enterExample changes to the directory of this file if the working directory has no configuration, so that `go run ./examples/portal`
// works from the top of a checkout. A real portal doesn't need this: it is started where its configuration is, or told with --config.
func enterExample() {
	if _, err := os.Stat("app-config.yaml"); err == nil {
		return
	}
	_, file, _, _ := runtime.Caller(0)
	if _, err := os.Stat(filepath.Join(filepath.Dir(file), "app-config.yaml")); err == nil {
		_ = os.Chdir(filepath.Dir(file)) // where it fails, the backend tells what is missing
	}
}

package main

import (
	"bytes"
	"compress/gzip"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/portico-dev/portico/examples/validator/findings"
)

//go:embed page/index.html
var page []byte

// assets is what the page loads.
type assets struct {
	wasm   []byte // compressed with gzip
	loader []byte // Go's wasm_exec.js
}

// buildAssets compiles the page's WebAssembly with the Go toolchain, and takes the loader that belongs to it from there.
func buildAssets(ctx context.Context) (assets, error) {
	dir, err := os.MkdirTemp("", "validator")
	if err != nil {
		return assets{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "validator.wasm")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", file,
		"github.com/portico-dev/portico/examples/validator/wasm")
	build.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm")
	if output, err := build.CombinedOutput(); err != nil {
		return assets{}, fmt.Errorf("building the WebAssembly (run this from a checkout of the module): %w\n%s", err, output)
	}
	binary, err := os.ReadFile(file)
	if err != nil {
		return assets{}, err
	}
	var compressed bytes.Buffer
	w := gzip.NewWriter(&compressed)
	if _, err := w.Write(binary); err != nil {
		return assets{}, err
	}
	if err := w.Close(); err != nil {
		return assets{}, err
	}
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return assets{}, fmt.Errorf("asking for GOROOT: %w", err)
	}
	loader, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(root)), "lib", "wasm", "wasm_exec.js"))
	if err != nil {
		return assets{}, fmt.Errorf("reading Go's loader of WebAssembly: %w", err)
	}
	return assets{wasm: compressed.Bytes(), loader: loader}, nil
}

const maxBody = 1 << 20

func newHandler(a assets) http.Handler {
	mux := http.NewServeMux()
	serve := func(pattern, contentType, encoding string, body []byte) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			if encoding != "" {
				w.Header().Set("Content-Encoding", encoding)
			}
			_, _ = w.Write(body) // the browser has gone
		})
	}
	serve("GET /{$}", "text/html; charset=utf-8", "", page)
	serve("GET /wasm_exec.js", "text/javascript; charset=utf-8", "", a.loader)
	serve("GET /validator.wasm", "application/wasm", "gzip", a.wasm)
	mux.HandleFunc("POST /validate", func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			http.Error(w, fmt.Sprintf("The file cannot be read, or is larger than %d bytes.", maxBody), http.StatusRequestEntityTooLarge)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(findings.In(string(text))) // the client has gone
	})
	return mux
}

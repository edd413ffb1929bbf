package main

import (
	"bufio"
	"context"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestPortal builds the portal and runs it as a newcomer would, but for the port and the directory of its databases.
func TestPortal(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	binary := filepath.Join(data, "portal")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	const entities = 23 // as many as Backstage makes of the same files
	for _, run := range []string{"on new databases", "on existing databases"} {
		t.Run(run, func(t *testing.T) {
			url, stop := start(t, binary, data)
			token := ""
			get := func(path string) string {
				t.Helper()
				status, body := request(t, url+path, token)
				if status != http.StatusOK {
					t.Errorf("GET %s: status %d\n%s", path, status, body)
				}
				return body
			}
			if status, _ := request(t, url+"/api/catalog/entities", ""); status != http.StatusUnauthorized {
				t.Errorf("without a token the catalog answers %d", status)
			}
			var signedIn struct{ BackstageIdentity struct{ Token string } }
			if err := json.Unmarshal([]byte(get("/api/auth/guest/refresh")), &signedIn); err != nil {
				t.Fatal(err)
			}
			token = signedIn.BackstageIdentity.Token
			page := get("/")
			if !strings.Contains(page, "catalog") {
				t.Errorf("the page doesn't tell of the catalog:\n%s", page)
			}
			for _, link := range regexp.MustCompile(`href="([^"]+)"`).FindAllStringSubmatch(page, -1) {
				get(html.UnescapeString(link[1]))
			}
			deadline := time.Now().Add(10 * time.Second)
			for count := 0; count != entities; {
				var answer struct{ TotalItems int }
				if err := json.Unmarshal([]byte(get("/api/catalog/entities/by-query?limit=0")), &answer); err != nil {
					t.Fatal(err)
				}
				if count = answer.TotalItems; count != entities && time.Now().After(deadline) {
					t.Fatalf("the catalog has %d entities, want %d", count, entities)
				}
			}
			if body := get("/api/catalog/entities/by-name/component/default/checkout-api"); !strings.Contains(body, `"Checkout API"`) {
				t.Errorf("the entity is %s", body)
			}
			stop()
		})
	}
}

// start runs the binary and returns its URL and a function that stops it and checks that it ended well.
func start(t *testing.T, binary, data string) (url string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	cmd := exec.CommandContext(ctx, binary)
	cmd.Env = append(os.Environ(), `APP_CONFIG_backend_listen="127.0.0.1:0"`, "APP_CONFIG_backend_database_connection_directory="+data)
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	lines := bufio.NewScanner(output)
	for url == "" || !strings.Contains(lines.Text(), "backend started") {
		if !lines.Scan() {
			t.Fatalf("the portal ended before it was ready:\n%s", &log)
		}
		log.WriteString(lines.Text() + "\n")
		var line struct{ Message, Address string }
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatalf("the log has a line that isn't JSON: %s", lines.Text())
		}
		if line.Address != "" {
			url = "http://" + line.Address
		}
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		_, _ = io.Copy(io.Discard, output)
	}()
	return url, func() {
		defer cancel()
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		<-drained
		if err := cmd.Wait(); err != nil {
			t.Errorf("the portal ended with %v", err)
		}
	}
}

func request(t *testing.T, url, token string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

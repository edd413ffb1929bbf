package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// portal is the binary of the portal, and what its processes share.
type portal struct {
	t         *testing.T
	binary    string
	data      string // directory of the databases
	endpoints string // configuration file that says where plugins are
	client    *http.Client
}

func newPortal(t *testing.T, binary string) *portal {
	t.Helper()
	dir := t.TempDir()
	p := &portal{t: t, binary: binary, data: dir, endpoints: filepath.Join(dir, "endpoints.yaml"),
		client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}}
	if err := os.WriteFile(p.endpoints, []byte("discovery: {endpoints: []}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// command is a run of the binary with app-config.yaml and the given files, on a free port.
func (p *portal) command(configs ...string) *exec.Cmd {
	args := []string{"--config", "app-config.yaml"}
	for _, c := range append(configs, p.endpoints) {
		args = append(args, "--config", c)
	}
	cmd := exec.CommandContext(p.t.Context(), p.binary, args...)
	cmd.Env = append(os.Environ(), `APP_CONFIG_backend_listen="127.0.0.1:0"`, "APP_CONFIG_backend_database_connection_directory="+p.data)
	return cmd
}

// process is a backend that runs.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	url  string
	read chan struct{} // closed at the end of the log

	mu   sync.Mutex
	text strings.Builder
}

// start starts a backend and waits until it is ready.
func (p *portal) start(configs ...string) *process {
	p.t.Helper()
	b := &process{t: p.t, cmd: p.command(configs...), read: make(chan struct{})}
	output, err := b.cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	b.cmd.Stderr = os.Stderr
	if err := b.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	ready := make(chan string, 1)
	go b.follow(output, ready)
	select {
	case b.url = <-ready:
	case <-b.read:
		p.t.Fatalf("the backend ended before it was ready:\n%s", b.log())
	}
	return b
}

// follow keeps the log, and tells the URL when the backend has started.
func (b *process) follow(output io.Reader, ready chan<- string) {
	defer close(b.read)
	var url string
	lines := bufio.NewScanner(output)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		b.mu.Lock()
		b.text.Write(lines.Bytes())
		b.text.WriteByte('\n')
		b.mu.Unlock()
		var line struct{ Message, Address string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Address != "" {
			url = "http://" + line.Address
		}
		if strings.HasPrefix(line.Message, "backend started") {
			ready <- url
		}
	}
}

func (b *process) log() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// kill ends the process without giving it a chance to do anything about it.
func (b *process) kill() {
	b.t.Helper()
	if err := b.cmd.Process.Kill(); err != nil {
		b.t.Error(err)
	}
	<-b.read
	_ = b.cmd.Wait() // tells of the signal
}

// stop ends the process as an operator does, and checks that it ends well.
func (b *process) stop() {
	b.t.Helper()
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		b.t.Error(err)
	}
	<-b.read
	if err := b.cmd.Wait(); err != nil {
		b.t.Errorf("the backend ended with %v", err)
	}
}

func (p *portal) get(on *process, token, path string) (int, string) {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, on.url+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := p.client.Do(r)
	if err != nil {
		p.t.Fatalf("%v\n%s", err, on.log())
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

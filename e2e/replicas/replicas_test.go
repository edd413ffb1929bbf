// Package replicas_test has real processes share a database, and kills them.
package replicas_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"go.uber.org/fx/fxtest"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
	"github.com/portico-dev/portico/service/database"
)

// The environment of replicas, which are processes of this test's program, and of the test.
const (
	programVariable  = "PORTICO_TEST_PROGRAM"       // what a replica runs: workers or catalogs
	replicaVariable  = "PORTICO_TEST_REPLICA"       // its name
	databaseVariable = "PORTICO_TEST_DATABASE"      // backend.database as JSON
	durationVariable = "PORTICO_TEST_KILL_DURATION" // how long replicas are killed; a minute or more finds more than the default
)

// object is a part of a configuration.
type object = map[string]any

// A program is what replicas run. It completes the configuration, and answers the features for the replica with the name.
type program func(name string, config object) []backend.Feature

func TestMain(m *testing.M) {
	if run := map[string]program{"workers": worker, "catalogs": portal}[os.Getenv(programVariable)]; run != nil {
		if err := runReplica(run); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// runReplica runs a backend that works until its standard input ends.
func runReplica(run program) error {
	var section object
	if err := json.Unmarshal([]byte(os.Getenv(databaseVariable)), &section); err != nil {
		return err
	}
	overrides := object{"backend": object{
		"listen":   object{"host": "127.0.0.1", "port": 0},
		"database": section,
		"logger":   object{"level": "warn"},
	}}
	features := run(os.Getenv(replicaVariable), overrides)
	b := backend.New(backend.Options{Config: config.Options{Dir: os.TempDir(), Overrides: overrides}})
	b.Add(features...)
	if err := b.Start(context.Background()); err != nil {
		return err
	}
	fmt.Println("ready", b.URL())
	_, err := io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, b.Stop(context.Background()))
}

// fleet are the replicas of a program on one database.
type fleet struct {
	t       *testing.T
	program string
	section []byte // backend.database as JSON
	started int
	alive   []*process
}

// process is a running replica.
type process struct {
	name, url string
	cmd       *exec.Cmd
	stdin     io.Closer
}

// startFleet starts three replicas.
func startFleet(t *testing.T, program string, section object) *fleet {
	t.Helper()
	encoded, err := json.Marshal(section)
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{t: t, program: program, section: encoded}
	for range 3 {
		f.alive = append(f.alive, f.next())
	}
	return f
}

func (f *fleet) next() *process {
	f.t.Helper()
	f.started++
	return f.start(fmt.Sprint("replica-", f.started))
}

func (f *fleet) start(name string) *process {
	t := f.t
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), programVariable+"="+f.program, replicaVariable+"="+name, databaseVariable+"="+string(f.section))
	var log strings.Builder
	cmd.Stderr = &log
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // if it still runs
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s:\n%s", name, &log)
		}
	})
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if url, ok := strings.CutPrefix(lines.Text(), "ready "); ok {
			return &process{name: name, url: url, cmd: cmd, stdin: stdin}
		}
	}
	t.Fatalf("%s doesn't start", name)
	return nil
}

// kill kills one replica after another, at any moment, and starts others in their places, until some time is over. Before, it tells who is next.
func (f *fleet) kill(next func(*process)) (kills int) {
	f.t.Helper()
	duration := 8 * time.Second
	if text := os.Getenv(durationVariable); text != "" {
		var err error
		if duration, err = time.ParseDuration(text); err != nil {
			f.t.Fatal(err)
		}
	}
	for end := time.Now().Add(duration); time.Now().Before(end); kills++ {
		time.Sleep(time.Duration(500+rand.IntN(1000)) * time.Millisecond) // the moment of the kill is meant to be any
		n := rand.IntN(len(f.alive))
		next(f.alive[n])
		f.alive[n].kill(f.t)
		f.alive[n] = f.next()
	}
	return kills
}

func (p *process) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = p.cmd.Wait() // it was killed
}

// stop has the replica end by itself.
func (p *process) stop(t *testing.T) {
	t.Helper()
	if err := errors.Join(p.stdin.Close(), p.cmd.Wait()); err != nil {
		t.Errorf("%s didn't stop well: %v", p.name, err)
	}
}

// milliseconds is the time by PostgreSQL's clock.
const milliseconds = "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)"

func count(t *testing.T, db *bun.DB, query string, args ...any) (n int) {
	t.Helper()
	if err := db.NewRaw(query, args...).Scan(t.Context(), &n); err != nil {
		t.Fatal(err)
	}
	return n
}

func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// open opens the database of a plugin, in which it makes tables.
func open(t *testing.T, section object, plugin string, tables ...string) *bun.DB {
	t.Helper()
	lifecycle := fxtest.NewLifecycle(quiet{t})
	manager, err := database.NewManager(config.Static(object{"backend": object{"database": section}}),
		service.RootLogger{Logger: slog.New(slog.DiscardHandler)}, lifecycle)
	if err != nil {
		t.Fatal(err)
	}
	lifecycle.RequireStart()
	t.Cleanup(func() { lifecycle.RequireStop() })
	db, err := manager.Open(t.Context(), plugin)
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		if _, err := db.ExecContext(t.Context(), "CREATE TABLE "+table); err != nil {
			t.Fatal(err)
		}
	}
	return db
}

// quiet leaves out what fxtest logs.
type quiet struct{ testing.TB }

func (quiet) Logf(string, ...any) {}

package backend_test

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
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
	"github.com/portico-dev/portico/service/database"
)

// The environment of replicas, which are processes of this test's program, and of the test.
const (
	replicaVariable  = "PORTICO_TEST_REPLICA"       // the name of a replica
	databaseVariable = "PORTICO_TEST_DATABASE"      // backend.database as JSON
	durationVariable = "PORTICO_TEST_KILL_DURATION" // how long replicas are killed; a minute or more finds more than the default
)

func TestMain(m *testing.M) {
	if name := os.Getenv(replicaVariable); name != "" {
		if err := runReplica(name); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

const (
	taskCount    = 12
	taskInterval = 300 * time.Millisecond
	killLease    = 2 * time.Second
)

// runReplica is the program of a replica: a backend that works until its standard input ends.
func runReplica(name string) error {
	var section map[string]any
	if err := json.Unmarshal([]byte(os.Getenv(databaseVariable)), &section); err != nil {
		return err
	}
	b := backend.New(backend.Options{Config: config.Options{Dir: os.TempDir(), Overrides: map[string]any{
		"backend": map[string]any{
			"listen":    map[string]any{"host": "127.0.0.1", "port": 0},
			"database":  section,
			"scheduler": map[string]any{"lease": killLease.String()},
			"logger":    map[string]any{"level": "warn"},
		},
		"events": map[string]any{"bus": map[string]any{"lease": killLease.String()}},
	}}})
	b.Add(worker(name))
	if err := b.Start(context.Background()); err != nil {
		return err
	}
	fmt.Println("ready")
	_, err := io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, b.Stop(context.Background()))
}

// milliseconds is the time by PostgreSQL's clock.
const milliseconds = "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)"

// worker is a plugin that writes down what its tasks and its durable subscriber do.
func worker(name string) plugin.Plugin {
	return plugin.New("worker", plugin.Init(func(db *bun.DB, s service.Scheduler, events service.Events, lifecycle fx.Lifecycle, log *slog.Logger) error {
		for n := range taskCount {
			id := fmt.Sprintf("task-%d", n)
			err := s.Schedule(service.Task{ID: id, Every: taskInterval, Timeout: 10 * time.Second, Run: func(ctx context.Context) error {
				var run int64
				noting := context.WithoutCancel(ctx)
				err := db.NewRaw("INSERT INTO runs (task, replica, began) VALUES (?, ?, "+milliseconds+") RETURNING id", id, name).Scan(noting, &run)
				if err != nil {
					return err
				}
				select {
				case <-ctx.Done():
				case <-time.After(time.Duration(50+rand.IntN(150)) * time.Millisecond):
				}
				_, err = db.ExecContext(noting, "UPDATE runs SET ended = "+milliseconds+" WHERE id = ?", run)
				return err
			}})
			if err != nil {
				return err
			}
		}
		err := events.Subscribe(service.Subscription{ID: "collector", Topics: []string{"work"}, Durable: true,
			OnEvent: func(ctx context.Context, e service.Event) error {
				var number string
				if err := e.Decode(&number); err != nil {
					return err
				}
				_, err := db.ExecContext(ctx, "INSERT INTO received (number) VALUES (?)", number)
				return err
			}})
		if err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		lifecycle.Append(fx.StartStopHook(func() {
			go func() {
				defer close(done)
				publish(ctx, name, db, events, log)
			}()
		}, func() {
			cancel()
			<-done
		}))
		return nil
	}))
}

// publish publishes events, and writes down which have been published.
func publish(ctx context.Context, name string, db *bun.DB, events service.Events, log *slog.Logger) {
	for n := 0; ctx.Err() == nil; n++ {
		number := fmt.Sprintf("%s-%d", name, n)
		e, err := service.NewEvent("work", number)
		if err == nil {
			err = events.Publish(ctx, e)
		}
		if err == nil {
			_, err = db.ExecContext(ctx, "INSERT INTO published (number) VALUES (?)", number)
		}
		if err != nil && ctx.Err() == nil {
			log.Error("publishing", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// replicaProcess is a running replica.
type replicaProcess struct {
	name  string
	cmd   *exec.Cmd
	stdin io.Closer
}

func startReplicaProcess(t *testing.T, name string, section []byte) *replicaProcess {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), replicaVariable+"="+name, databaseVariable+"="+string(section))
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
			t.Logf("replica %s:\n%s", name, &log)
		}
	})
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if lines.Text() == "ready" {
			return &replicaProcess{name: name, cmd: cmd, stdin: stdin}
		}
	}
	t.Fatalf("replica %s doesn't start", name)
	return nil
}

// TestKilledReplicas kills replicas that work. Every task must go on, no task may run twice at once, and no event may get lost.
func TestKilledReplicas(t *testing.T) {
	t.Parallel()
	duration := 6 * time.Second
	if text := os.Getenv(durationVariable); text != "" {
		var err error
		if duration, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	section := backendtest.PostgreSQL(t)
	db := openWorker(t, section)
	for _, statement := range []string{
		"CREATE TABLE runs (id bigserial PRIMARY KEY, task text, replica text, began bigint, ended bigint)",
		"CREATE TABLE published (number text PRIMARY KEY)",
		"CREATE TABLE received (number text)",
		"CREATE TABLE kills (replica text PRIMARY KEY, at bigint)",
	} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	encoded, err := json.Marshal(section)
	if err != nil {
		t.Fatal(err)
	}
	started := 0
	next := func() *replicaProcess {
		started++
		return startReplicaProcess(t, fmt.Sprintf("replica-%d", started), encoded)
	}
	replicas := []*replicaProcess{next(), next(), next()}
	for end := time.Now().Add(duration); time.Now().Before(end); {
		time.Sleep(time.Duration(500+rand.IntN(1000)) * time.Millisecond) // the moment of the kill is meant to be any
		n := rand.IntN(len(replicas))
		victim := replicas[n]
		if _, err := db.ExecContext(t.Context(), "INSERT INTO kills (replica, at) VALUES (?, "+milliseconds+")", victim.name); err != nil {
			t.Fatal(err)
		}
		if err := victim.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = victim.cmd.Wait() // it was killed
		replicas[n] = next()
	}

	count := func(query string, args ...any) (n int) {
		t.Helper()
		if err := db.NewRaw(query, args...).Scan(t.Context(), &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	eventually := func(what string, check func() bool) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); !check(); time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Errorf("not %s", what)
				return
			}
		}
	}
	eventually("every task has run since the last kill", func() bool {
		return count("SELECT count(DISTINCT task) FROM runs WHERE began > (SELECT max(at) FROM kills) AND ended IS NOT NULL") == taskCount
	})
	for _, r := range replicas[1:] {
		if err := errors.Join(r.stdin.Close(), r.cmd.Wait()); err != nil {
			t.Errorf("replica %s didn't stop well: %v", r.name, err)
		}
	}
	last := replicas[0] // which goes on publishing, and receives what the others have published
	eventually("every event has been received", func() bool {
		return count("SELECT count(*) FROM published p WHERE number NOT LIKE ? AND NOT EXISTS (SELECT FROM received r WHERE r.number = p.number)",
			last.name+"-%") == 0
	})
	if err := errors.Join(last.stdin.Close(), last.cmd.Wait()); err != nil {
		t.Errorf("replica %s didn't stop well: %v", last.name, err)
	}

	if _, err := db.ExecContext(t.Context(), "UPDATE runs SET ended = kills.at FROM kills WHERE kills.replica = runs.replica AND ended IS NULL"); err != nil {
		t.Fatal(err)
	}
	if n := count("SELECT count(*) FROM runs WHERE ended IS NULL"); n > 0 {
		t.Errorf("%d runs have not ended although their replica was not killed", n)
	}
	overlaps := count("SELECT count(*) FROM runs a JOIN runs b ON a.task = b.task AND a.id < b.id AND a.began < b.ended AND b.began < a.ended")
	if overlaps > 0 {
		t.Errorf("%d times a task ran twice at once", overlaps)
	}
	t.Logf("%d kills; %d runs of %d tasks, %d of them interrupted, the longest pause of a task %dms; %d events published, %d received, %d of them twice",
		count("SELECT count(*) FROM kills"), count("SELECT count(*) FROM runs"), taskCount,
		count("SELECT count(*) FROM runs JOIN kills ON kills.replica = runs.replica AND ended = at"),
		count("SELECT max(pause) FROM (SELECT began - lag(ended) OVER (PARTITION BY task ORDER BY began) AS pause FROM runs) AS pauses"),
		count("SELECT count(*) FROM published"), count("SELECT count(DISTINCT number) FROM received"),
		count("SELECT count(*) - count(DISTINCT number) FROM received"))
}

// openWorker opens the database of the plugin.
func openWorker(t *testing.T, section map[string]any) *bun.DB {
	t.Helper()
	lifecycle := fxtest.NewLifecycle(quiet{t})
	manager, err := database.NewManager(config.Static(map[string]any{"backend": map[string]any{"database": section}}),
		service.RootLogger{Logger: slog.New(slog.DiscardHandler)}, lifecycle)
	if err != nil {
		t.Fatal(err)
	}
	lifecycle.RequireStart()
	t.Cleanup(func() { lifecycle.RequireStop() })
	db, err := manager.Open(t.Context(), "worker")
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// quiet leaves out what fxtest logs.
type quiet struct{ testing.TB }

func (quiet) Logf(string, ...any) {}

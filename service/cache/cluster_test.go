package cache_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func TestRedisCluster(t *testing.T) {
	t.Parallel()
	addresses := startCluster(t, 3)
	for name, config := range map[string]map[string]any{
		"redis": {"store": "redis", "redis": map[string]any{"cluster": map[string]any{
			"rootNodes": []any{map[string]any{"url": "redis://" + addresses[0]}}, "useReplicas": true}}},
		"valkey": {"store": "valkey", "valkey": map[string]any{"cluster": map[string]any{
			"rootNodes": []any{map[string]any{"host": "127.0.0.1", "port": port(addresses[1])}}}}},
	} {
		m := manager(t, config, slog.DiscardHandler)
		a, b := m.Cache(name+"-a"), m.Cache(name+"-b")
		for i := range 50 { // in slots of all nodes
			set(t, a, fmt.Sprint(i), "x")
			set(t, b, fmt.Sprint(i), "y")
			wantValue(t, a, fmt.Sprint(i), "x")
		}
		if err := a.Clear(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i := range 50 {
			wantNothing(t, a, fmt.Sprint(i))
			wantValue(t, b, fmt.Sprint(i), "y")
		}
	}
}

func port(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

// startCluster starts a cluster of n nodes.
func startCluster(t *testing.T, n int) (addresses []string) {
	t.Helper()
	server, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("redis-server is not installed")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var first *redis.Client
	for i := range n {
		port, bus := freePort(t), freePort(t)
		process := exec.Command(server, "--port", port, "--cluster-port", bus, "--bind", "127.0.0.1", "--cluster-enabled", "yes",
			"--dir", t.TempDir(), "--save", "", "--cluster-require-full-coverage", "no")
		if err := process.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			process.Process.Kill()
			process.Wait()
		})
		addresses = append(addresses, "127.0.0.1:"+port)
		client := redis.NewClient(&redis.Options{Addr: addresses[i]})
		t.Cleanup(func() { client.Close() })
		await(t, "the node answers", func() bool { return client.Ping(ctx).Err() == nil })
		if err := client.ClusterAddSlotsRange(ctx, i*16384/n, (i+1)*16384/n-1).Err(); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = client
		} else if err := client.Do(ctx, "CLUSTER", "MEET", "127.0.0.1", strings.Split(addresses[0], ":")[1], busOf(ctx, t, first)).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for _, address := range addresses {
		client := redis.NewClient(&redis.Options{Addr: address})
		// A node may know another before it knows its slots, and then doesn't name it to clients.
		await(t, "the nodes know each other's slots", func() bool {
			info, err := client.ClusterInfo(ctx).Result()
			slots, _ := client.Do(ctx, "CLUSTER", "SLOTS").Slice()
			return err == nil && strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_slots_assigned:16384") && len(slots) == n
		})
		if err := client.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return addresses
}

// busOf is the port at which the nodes of a cluster talk with this one.
func busOf(ctx context.Context, t *testing.T, client *redis.Client) string {
	t.Helper()
	nodes, err := client.ClusterNodes(ctx).Result() // "<id> 127.0.0.1:6379@16379 myself,master …"
	if err != nil {
		t.Fatal(err)
	}
	_, bus, _ := strings.Cut(strings.Fields(nodes)[1], "@")
	bus, _, _ = strings.Cut(bus, ",")
	return bus
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return port(listener.Addr().String())
}

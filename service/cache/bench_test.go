package cache_test

import (
	"fmt"
	"log/slog"
	"testing"
)

func BenchmarkMemory(b *testing.B) {
	c := manager(b, map[string]any{}, slog.DiscardHandler).Cache("todo")
	value := make([]byte, 1<<10)
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = fmt.Sprint("key ", i)
		if err := c.Set(b.Context(), keys[i], value); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("get", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if _, err := c.Get(b.Context(), keys[i%len(keys)]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("set", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if err := c.Set(b.Context(), keys[i%len(keys)], value); err != nil {
				b.Fatal(err)
			}
		}
	})
}

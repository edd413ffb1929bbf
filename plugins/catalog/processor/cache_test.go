package processor_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/portico-dev/portico/plugins/catalog/processor"
)

// next is the cache as it is found the next time.
func next(t *testing.T, c processor.Cache) (again processor.Cache) {
	t.Helper()
	text, err := json.Marshal(&c)
	if err == nil {
		err = json.Unmarshal(text, &again)
	}
	if err != nil {
		t.Fatal(err)
	}
	return again
}

func get(t *testing.T, c *processor.Cache, key string) string {
	t.Helper()
	text := "nothing"
	if ok, err := c.Get(key, &text); err != nil || ok != (text != "nothing") {
		t.Errorf("%s: %v, %v", key, ok, err)
	}
	return text
}

func TestCache(t *testing.T) {
	t.Parallel()
	var c processor.Cache
	if got := get(t, &c, "a"); got != "nothing" {
		t.Errorf("an empty cache has %s", got)
	}
	for key, value := range map[string]string{"a": "1", "b": "2"} {
		if err := c.Set(key, value); err != nil {
			t.Fatal(err)
		}
	}
	if got := get(t, &c, "a"); got != "nothing" {
		t.Errorf("%s is there at once", got)
	}
	c = next(t, c)
	if a, b := get(t, &c, "a"), get(t, &c, "b"); a != "1" || b != "2" {
		t.Errorf("the next time, there are %s and %s", a, b)
	}
	c = next(t, c) // nothing is set
	if err := c.Set("b", "3"); err != nil || get(t, &c, "b") != "2" {
		t.Errorf("got %v", err)
	}
	c = next(t, c)
	if a, b := get(t, &c, "a"), get(t, &c, "b"); a != "nothing" || b != "3" {
		t.Errorf("after something is set, there are %s and %s", a, b)
	}
	var number int
	if ok, err := c.Get("b", &number); ok || err == nil {
		t.Errorf("got %v, %v for a text as a number", ok, err)
	}
	if err := c.Set("c", func() {}); err == nil {
		t.Error("a function can be kept")
	}
}

func TestCacheIsLimited(t *testing.T) {
	t.Parallel()
	var c processor.Cache
	large := strings.Repeat("x", processor.MaxCache-10)
	if err := c.Set("a", large); err != nil {
		t.Fatal(err)
	}
	if err := c.Set("a", large+"yy"); err != nil { // in place of it
		t.Error(err)
	}
	if err := c.Set("b", strings.Repeat("x", 20)); err == nil || !strings.Contains(err.Error(), `keeping "b"`) {
		t.Errorf("got %v", err)
	}
	c = next(t, c)
	if get(t, &c, "a") != large+"yy" || get(t, &c, "b") != "nothing" {
		t.Error("something else is kept")
	}
}

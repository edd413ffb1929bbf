package backendtest

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"

	"github.com/portico-dev/portico/service"
)

// Config is a service.Config with the given values, which don't change. Objects are map[string]any.
func Config(values map[string]any) service.Config { return mapConfig(values) }

// mapConfig is a service.Config with fixed values.
type mapConfig map[string]any

func (c mapConfig) lookup(key string) (any, bool) {
	var value any = map[string]any(c)
	for name := range strings.SplitSeq(key, ".") {
		object, _ := value.(map[string]any)
		var found bool
		if value, found = object[name]; !found {
			return nil, false
		}
	}
	return value, true
}

func (c mapConfig) Decode(key string, dst any) error {
	value, found := c.lookup(key)
	if !found {
		return nil
	}
	decoder, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		TagName: "config", Result: dst, DecodeHook: mapstructure.ComposeDecodeHookFunc(decodeDuration),
	})
	if err != nil {
		return err
	}
	if err := decoder.Decode(value); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

func decodeDuration(from, to reflect.Type, value any) (any, error) {
	if text, ok := value.(string); ok && to == reflect.TypeFor[time.Duration]() {
		return time.ParseDuration(text)
	}
	return value, nil
}

func (c mapConfig) Has(key string) bool {
	_, found := c.lookup(key)
	return found
}

func (c mapConfig) Subscribe(func()) (cancel func()) { return func() {} }

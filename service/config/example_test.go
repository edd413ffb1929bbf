package config_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
)

// A plugin decodes its section into a struct, and declares the schema of the same struct.
func Example() {
	type Settings struct {
		BaseURL  string        `config:"baseUrl" schema:"required,format=uri" doc:"The address of the forge."`
		Token    string        `config:"token" schema:"visibility=secret"`
		Interval time.Duration `config:"interval"`
	}

	dir, err := os.MkdirTemp("", "config")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	file := []byte("forge:\n  baseUrl: https://forge.example.com\n  token: ${FORGE_TOKEN}\n")
	if err := os.WriteFile(filepath.Join(dir, "app-config.yaml"), file, 0o600); err != nil {
		panic(err)
	}

	store, err := config.Load(context.Background(), config.Options{Dir: dir, Env: []string{"FORGE_TOKEN=t0ken"}})
	if err != nil {
		panic(err)
	}
	schema := service.ConfigSchemaSource{Feature: "plugin forge", Schema: config.SchemaOf[Settings]("forge")}
	if err := store.Validate(service.ConfigSchemas{schema}); err != nil {
		panic(err)
	}

	settings := Settings{Interval: time.Hour}
	if err := store.Decode("forge", &settings); err != nil {
		panic(err)
	}
	fmt.Println(settings.BaseURL, settings.Token, settings.Interval)
	for _, v := range store.Values() {
		fmt.Println(v.Key, "=", v.Value, "#", v.Source)
	}
	// Output:
	// https://forge.example.com t0ken 1h0m0s
	// forge.baseUrl = https://forge.example.com # app-config.yaml:2:12
	// forge.token = *** # app-config.yaml:3:10
}

// Errors tell what is wrong, and where.
func ExampleStore_Validate() {
	store := config.Static(map[string]any{"forge": map[string]any{"baseUrl": 5, "tokn": "x"}})
	type Settings struct {
		BaseURL struct{ Internal, External string } `config:"baseUrl"`
		Token   string
	}
	err := store.Validate(service.ConfigSchemas{{Feature: "plugin forge", Schema: config.SchemaOf[Settings]("forge")}})
	fmt.Println(err)
	// Output:
	// configuration: 2 problems:
	//   forge.baseUrl (static configuration): must be an object, is a number
	//   forge.tokn (static configuration): is not a known key; did you mean "token"?
}

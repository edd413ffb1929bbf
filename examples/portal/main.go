// Command portal is a developer portal's backend with everything that comes with Portico, on embedded defaults: databases are SQLite files,
// caches are in memory.
//
//	go run ./examples/portal
//
// serves http://localhost:7007 from app-config.yaml beside this file.
package main

import (
	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/plugins/catalog"
)

func main() {
	enterExample()
	backend.Main(
		catalog.Plugin(),
	)
}

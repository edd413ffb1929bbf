// Command entityprovider is a portal whose catalog is fed by the company's CMDB.
package main

import (
	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/plugins/catalog"

	"github.com/portico-dev/portico/examples/entityprovider/cmdb"
)

func main() {
	backend.Main(catalog.Plugin(), cmdb.Module())
}

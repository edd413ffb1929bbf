//go:build js && wasm

// Command wasm gives JavaScript the function validateCatalogInfo: it takes the text of a catalog-info.yaml and returns a report as
// JSON, in the form of [findings.Report].
package main

import (
	"encoding/json"
	"syscall/js"

	"github.com/portico-dev/portico/examples/validator/findings"
)

func main() {
	js.Global().Set("validateCatalogInfo", js.FuncOf(func(_ js.Value, args []js.Value) any {
		report, err := json.Marshal(findings.In(args[0].String()))
		if err != nil {
			return js.Null() // a report always has a JSON form
		}
		return string(report)
	}))
	select {} // the function is called from now on
}

// Package openapi is a module of the catalog plugin for API definitions that are spread over several files. It adds the placeholders
// $openapi and $asyncapi, which bundle a file with all files that it refers to by $ref. It is
// @backstage/plugin-catalog-backend-module-openapi.
//
//	kind: API
//	spec:
//	  type: openapi
//	  definition:
//	    $openapi: ./openapi.yaml
//
// # Bundling
//
// What a $ref of another file points to takes the place of that $ref, once: where it is nearest to the root. All other references to it
// become references within the document, so that circles are no problem. Keys beside a $ref are kept; they win over those of what it points to.
// References within the document stay as they are written. In AsyncAPI 3, operations name channels and messages by references; these are
// not replaced by what they point to.
//
// Files are read where the entity may read them: from its own repository, or below its directory. They are YAML or JSON. A definition may
// have 500 files with 32 MiB and a million values.
//
// # Differences from Backstage
//
// The text of the definition is arranged differently: scalars stay as they are written, and references may lead to other places that have
// the same content. The processor for definitions without a placeholder, which is deprecated, is not there.
package openapi

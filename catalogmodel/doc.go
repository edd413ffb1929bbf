// Package catalogmodel defines the entities of a software catalog: what they look like, which are valid, and how they refer
// to each other. It is Backstage's model (@backstage/catalog-model 1.10), with the same verdicts, and imports nothing
// else of this module, so that servers, tools and browsers (GOOS=js GOARCH=wasm) can share it.
//
// An [Entity] comes from [ReadYAML], [ParseJSON], or a [Kind]; it is immutable, and keeps whatever it was read with. A
// [Registry], mostly [Default], says whether it is valid ([Registry.Validate]) and which relations it generates
// ([Registry.Relations]). A [Ref] names an entity. One [Definition] adds a kind of one's own.
package catalogmodel

// Package wiring checks how the features of a backend fit together, and builds the fx containers they run in.
//
// [NewPlan] looks only at types: it reports every mistake at once, before anything is made. A [Plan] then builds one [Container] for
// the root services and one for each plugin, with just what is reachable from what will run.
package wiring

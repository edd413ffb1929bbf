// Package index answers queries over all final entities from memory.
//
// Each entity has an ordinal, and each key that queries have asked for a field: from every value of the key to the set of ordinals that
// have it, as a roaring bitmap, or a single number where it is one. Conditions are set operations. A key that entities were ordered by has
// their ordinals in that order. Fields and orders are made when they are first asked for, from terms that each entity keeps in a compact
// form, and are kept up to date from then on.
package index

// Package index answers queries over all final entities from memory.
//
// Each entity has an ordinal, and each key that queries have asked for a field: from every value of the key to the set of ordinals that
// have it, as a roaring bitmap, or a list as long as they are few. Conditions are set operations. A key that entities were ordered by has
// their ordinals in that order. Fields and orders are made when they are first asked for, and are kept up to date from then on.
//
// Most of the memory is that of the entities themselves. Their JSON is compressed, each by itself but with a dictionary of what entities look
// like, and their terms are kept as places in it. Unpacking one takes about a microsecond. The few that are asked for again and again are kept
// unpacked as well, and so are, until the next change, the counts of facets.
package index

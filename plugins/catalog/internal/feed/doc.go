// Package feed lets others follow the changes of final entities, from a place in the log on, and as seen through a condition: an entity for
// which the condition begins to hold is created, and one for which it ends to hold is deleted, as far as they can see.
//
// Nothing is kept for a follower but its cursor, which it keeps itself: one that is slow reads less often. What was read for one is kept
// for a while for the others, who are mostly at the same place.
package feed

package scheduler_test

func isReplica() bool { return false }

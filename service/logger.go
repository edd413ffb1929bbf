package service

import "log/slog"

// RootLogger is the logger of the backend itself, from which those of the plugins (*slog.Logger) are derived. It is a type of its own
// so that it can be told from them.
type RootLogger struct{ *slog.Logger }

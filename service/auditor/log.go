package auditor

import (
	"context"
	"log/slog"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
)

const configKey = "backend.auditor"

type settings struct {
	Levels levels `config:"severityLogLevelMappings" doc:"At which level of the log events of each severity are."`
}

// levels are the levels of the log by severity.
type levels struct {
	Low      level `config:"low" schema:"enum=debug|info|warn|error" doc:"debug by default."`
	Medium   level `config:"medium" schema:"enum=debug|info|warn|error" doc:"info by default."`
	High     level `config:"high" schema:"enum=debug|info|warn|error" doc:"info by default."`
	Critical level `config:"critical" schema:"enum=debug|info|warn|error" doc:"info by default."`
}

// level is a level by its name in the configuration.
type level string

func (l level) slog() slog.Level {
	switch l {
	case "debug":
		return slog.LevelDebug
	case "warn":
		return slog.LevelWarn
	case "error":
		return slog.LevelError
	}
	return slog.LevelInfo
}

// Services are the auditors of plugins, which record in their logs.
func Services() []service.Service {
	return []service.Service{
		service.PerPlugin[service.Auditor](func(d Dependencies, cfg service.Config) (service.Auditor, error) {
			record, err := Log(d.Log, cfg)
			return New(d, record), err
		}, service.ConfigSchema(config.SchemaOf[settings](configKey))),
	}
}

// Log records entries in the log of a plugin, at the levels that the configuration has for their severities.
func Log(log *slog.Logger, cfg service.Config) (Recorder, error) {
	s := settings{levels{Low: "debug", Medium: "info", High: "info", Critical: "info"}}
	if err := cfg.Decode(configKey, &s); err != nil {
		return nil, err
	}
	bySeverity := map[service.AuditSeverity]slog.Level{
		service.SeverityLow:      s.Levels.Low.slog(),
		service.SeverityMedium:   s.Levels.Medium.slog(),
		service.SeverityHigh:     s.Levels.High.slog(),
		service.SeverityCritical: s.Levels.Critical.slog(),
	}
	log = log.With("isAuditEvent", true)
	return func(ctx context.Context, e Entry) error {
		level := bySeverity[e.Severity]
		if !log.Enabled(ctx, level) {
			return nil // most events are of low severity, and not logged
		}
		message := e.Plugin + "." + e.EventID
		if e.Err != nil {
			message += " " + e.Err.Error()
		}
		log.LogAttrs(ctx, level, message, e.attrs()...)
		return nil
	}, nil
}

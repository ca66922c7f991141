package sipua

import (
	"context"
	"log/slog"
)

// tracer is the core's view of Config.Trace and Config.TraceSIP; nil for
// neither. The core calls it in the midst of its work, so the hook, which may
// call any method, runs on a queue of its own.
func (ua *UA) tracer(cfg *Config) func(TraceEvent) {
	hook, log := cfg.Trace, cfg.Logger
	if !cfg.TraceSIP {
		log = nil
	}
	if hook == nil && log == nil {
		return nil
	}
	return func(e TraceEvent) {
		ua.traces.Push(func() {
			if log != nil {
				logMessage(log, e)
			}
			if hook != nil {
				hook(e)
			}
		})
	}
}

func logMessage(log *slog.Logger, e TraceEvent) {
	direction := "out"
	if e.In {
		direction = "in"
	}
	log.LogAttrs(context.Background(), slog.LevelInfo, "sip",
		slog.String("direction", direction), slog.Time("at", e.Time), slog.String("server", e.Server),
		slog.Uint64("flow", e.Flow), slog.String("message", string(e.Data)))
}

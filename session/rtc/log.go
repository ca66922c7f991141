package rtc

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/pion/logging"
)

// loggers lends pion our logger. Its own would write to standard error.
type loggers struct{ to *slog.Logger }

// NewLogger makes the logger of one of pion's parts.
func (l loggers) NewLogger(scope string) logging.LeveledLogger {
	return logger{l.to.With("pion", scope)}
}

type logger struct{ to *slog.Logger }

const levelTrace = slog.LevelDebug - 4

func (l logger) log(level slog.Level, format string, args ...any) {
	if l.to.Enabled(context.Background(), level) {
		l.to.Log(context.Background(), level, fmt.Sprintf(format, args...))
	}
}

func (l logger) Trace(msg string)             { l.log(levelTrace, "%s", msg) }
func (l logger) Tracef(f string, args ...any) { l.log(levelTrace, f, args...) }
func (l logger) Debug(msg string)             { l.log(slog.LevelDebug, "%s", msg) }
func (l logger) Debugf(f string, args ...any) { l.log(slog.LevelDebug, f, args...) }
func (l logger) Info(msg string)              { l.log(slog.LevelDebug, "%s", msg) }
func (l logger) Infof(f string, args ...any)  { l.log(slog.LevelDebug, f, args...) }
func (l logger) Warn(msg string)              { l.log(slog.LevelInfo, "%s", msg) }
func (l logger) Warnf(f string, args ...any)  { l.log(slog.LevelInfo, f, args...) }
func (l logger) Error(msg string)             { l.log(slog.LevelWarn, "%s", msg) }
func (l logger) Errorf(f string, args ...any) { l.log(slog.LevelWarn, f, args...) }

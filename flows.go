package sipua

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/gosipua/sipua/transport"
)

// wireTransport makes a pool for each flow, which keeps one connection up to a
// server that no other pool has.
func (ua *UA) wireTransport(cfg *Config) {
	ua.claims.list = make([]claim, cfg.Flows)
	for i := range cfg.Flows {
		ua.pools = append(ua.pools, transport.NewPool(ua.poolOptions(cfg, i+1)))
	}
}

// poolOptions are the options of the pool for the flow with that reg-id.
func (ua *UA) poolOptions(cfg *Config, regID int) transport.Options {
	o := transport.Options{
		Servers:           cfg.WSServers,
		Dial:              cfg.Dial,
		DialContext:       cfg.DialContext,
		ConnectTimeout:    cfg.ConnectTimeout,
		WriteTimeout:      cfg.WriteTimeout,
		RecoveryMin:       cfg.ConnectionRecoveryMinInterval,
		RecoveryMax:       cfg.ConnectionRecoveryMaxInterval,
		PingInterval:      cfg.PingInterval,
		PongTimeout:       cfg.PongTimeout,
		KeepAliveInterval: cfg.KeepAliveInterval,
		MaxMessage:        cfg.MaxMessageSize,
		FailBack:          ua.failBack(cfg.FailBack),
		Numbers:           &ua.numbers,
		Gate:              cfg.Gate,
		Logger:            cfg.Logger,
		Events: transport.Events{
			Connecting: func(s WSServer, attempt int) { ua.connecting(regID, s, attempt) },
			Failed:     func(s WSServer, err error, retryIn time.Duration) { ua.connectFailed(regID, s, err, retryIn) },
			Up:         func(f *transport.Flow) { ua.flowUp(regID, f) },
			Message:    func(f *transport.Flow, data []byte) { ua.core.Receive(f, data) },
			TooLong:    func(f *transport.Flow, head []byte) { ua.core.ReceiveTooLong(f, head) },
			Down:       func(f *transport.Flow, err error) { ua.flowDown(regID, f, err) },
		},
	}
	if cfg.Flows > 1 {
		o.Dial = ua.claims.dial(regID, cfg.Dial)
	}
	return o
}

// endPools ends all pools. Each on this goroutine: where it is a pool's own, which
// has called the application, they do not wait.
func (ua *UA) endPools(end func(*transport.Pool) error) (err error) {
	for _, p := range ua.pools {
		err = errors.Join(err, end(p))
	}
	return err
}

// errClaimed fails an attempt to connect to a server that another flow has.
var errClaimed = errors.New("sipua: another flow goes to this server")

// claims keep the flows on servers of their own: a pool has a claim on the server
// that it is connected to, and on the one that it tries. RFC 5626 §4.2.1.
type claims struct {
	mu   sync.Mutex
	list []claim // guarded by mu; by reg-id
}

type claim struct {
	connected string          // URL of the server, "" without a connection
	tried     string          // the same of the newest attempt
	attempt   context.Context // ends with the attempt
}

// dial claims the server of each attempt before dial, if any, is asked.
func (c *claims) dial(regID int, dial func(context.Context, WSServer) (WSServer, error)) func(context.Context, WSServer) (WSServer, error) {
	return func(ctx context.Context, s WSServer) (WSServer, error) {
		switch {
		case !c.take(regID, s.URL, ctx):
			return s, errClaimed
		case dial == nil:
			return s, nil
		}
		return dial(ctx, s)
	}
}

// take claims a server for an attempt, unless another pool has it.
func (c *claims) take(regID int, url string, attempt context.Context) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.heldByOther(regID, url) {
		return false
	}
	own := &c.list[regID-1]
	own.tried, own.attempt = url, attempt
	return true
}

// heldByOther is called with mu held.
func (c *claims) heldByOther(regID int, url string) bool {
	for i, other := range c.list {
		if i != regID-1 && (other.connected == url || other.tried == url && other.attempt.Err() == nil) {
			return true
		}
	}
	return false
}

// up notes that the newest attempt of a pool led to a connection.
func (c *claims) up(regID int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	own := &c.list[regID-1]
	own.connected = own.tried
}

// down notes that the connection of a pool is gone.
func (c *claims) down(regID int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list[regID-1].connected = ""
}

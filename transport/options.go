package transport

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"
	"time"
)

// Options configures a [Pool]. The zero value of every field but Servers means
// its default.
type Options struct {
	// Servers are chosen from as Server.Weight says. Without one, Dial has to name
	// the server; else every attempt fails with a [*ServerError].
	Servers []Server

	// Dial, if set, is asked afresh before each connection attempt and may return
	// the server changed: another URL, a new token in a header. Its error fails
	// the attempt. It must return when its context ends.
	Dial func(ctx context.Context, s Server) (Server, error)

	// DialContext opens the connection under TLS and WebSocket, as in
	// [http.Transport]. It must return when its context ends. Default: a [net.Dialer].
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)

	TLSConfig *tls.Config                           // for servers without their own; default: verification by the system's roots
	Proxy     func(*http.Request) (*url.URL, error) // for servers without their own; default: no proxy. http.ProxyFromEnvironment fits
	Jar       http.CookieJar                        // for servers without their own; default: none

	ConnectTimeout time.Duration // of a whole attempt: Dial, TCP, TLS, handshake; default 10 s
	WriteTimeout   time.Duration // of one write to the network; default 8 s

	// RecoveryMin and RecoveryMax bound the wait between rounds of attempts, which
	// grows exponentially with jitter. Defaults 2 s and 30 s; a maximum below the
	// minimum is raised to it. Only a server's own Retry-After keeps us away for longer,
	// up to an hour.
	RecoveryMin, RecoveryMax time.Duration

	// PingInterval is the time from one proof that the flow works both ways to the
	// next WebSocket ping (RFC 6455 §5.5.2); negative: never. PongTimeout is the time
	// from writing it to its pong; until a flow has answered a first ping by its pong
	// any inbound byte counts. Defaults 5 s and 4 s: a dead connection is noticed
	// within the sum of both. The least that makes sense is 1 s for each.
	PingInterval, PongTimeout time.Duration

	// KeepAliveInterval is the upper interval of CRLF keep-alives (RFC 5626
	// §4.4.1). Default 0: none unless Flow.SetKeepAlive asks.
	KeepAliveInterval time.Duration

	MaxMessage int // bytes of the longest SIP message taken and sent; default 64 KiB
	HardLimit  int // bytes of a message that end the flow; default 16 MiB, at least MaxMessage
	MaxQueue   int // bytes waiting to be written to one flow; default 1 MiB, at least MaxMessage

	// FailBack, if set, is asked now and then while the flow is to a server lighter
	// than another one; true means that the flow may move now (nothing is under way).
	// The heavier server is connected first; the flow in use ends when it is up and
	// FailBack has said true again. A server whose flows are lost within ten times
	// RecoveryMax is returned to less often each time, at last once in half an hour to
	// an hour. It must not block.
	FailBack func() bool

	// Numbers counts the flows, whose numbers it gives. Pools that have one in
	// common number theirs apart. Default: one of the pool's own.
	Numbers *atomic.Uint64

	// Exclude, if set, is asked about every server before each attempt, those of
	// failing back included; a server for which it is true is none to be tried now.
	// When none is left the pool waits, and asks again with back-off. A flow that is
	// up stays. It keeps two pools of one user agent on different servers, given
	// [Pool.Uses] of the other one. It must not block.
	Exclude func(Server) bool

	// Gate, shared with other pools, bounds the attempts of all together. An attempt
	// that waits for its turn is not told by Events.Connecting until it has it.
	// Default nil: no bounds.
	Gate *Gate

	Events Events       // what happens is told here
	Logger *slog.Logger // default: nothing is logged
}

// Events are told by the pool's own goroutines, one at a time for one flow, in
// the order things happened: Up, then any number of Message and TooLong, then
// Down. Retry, Connecting and Failed follow each other in order too; Resumed may
// come beside all others. A nil func is skipped. None may block: Message and TooLong
// run on the flow's reader.
type Events struct {
	// Connecting says that an attempt begins. It counts from 1 since the last
	// connection that held.
	Connecting func(s Server, attempt int)

	// Up says that f is connected. Pool.Flow returns it from before this call on.
	Up func(f *Flow)

	// Message brings one SIP message. data is valid during the call only.
	Message func(f *Flow, data []byte)

	// TooLong brings the first MaxMessage bytes of a message that was longer; the
	// rest was dropped. head is valid during the call only. A request is to be
	// answered 513 (RFC 3261 §21.5.7).
	TooLong func(f *Flow, head []byte)

	// Down says that f is gone; err is a [*FlowError]. Nothing about f follows.
	Down func(f *Flow, err error)

	// Failed says that an attempt failed; err is a [*ConnectError]. The next one
	// follows after retryIn, 0 being at once. Attempts to fail back are not told.
	Failed func(s Server, err error, retryIn time.Duration)

	// Retry says that the next attempt is due after in, 0 being at once, and counts
	// it as Connecting will. It follows Down and Failed, and comes again when the
	// attempt is brought forward by Pool.Check or put off because Options.Exclude
	// leaves no server. With a Gate the attempt may begin later than that.
	Retry func(in time.Duration, attempt int)

	// Resumed says that the machine slept or the process was frozen, for about that
	// long: the wall clock moved on more than the monotonic one, or a timer fired much
	// too late. It is noticed within 5 s or Options.PingInterval, whichever is longer,
	// except on a flow without any keep-alive, and everything is looked at as by
	// Pool.Check.
	Resumed func(asleep time.Duration)
}

func (o Options) withDefaults() Options {
	o.Servers = slices.Clone(o.Servers)
	for i := range o.Servers {
		o.Servers[i].Header = o.Servers[i].Header.Clone()
	}
	if len(o.Servers) == 0 {
		o.Servers = []Server{{}}
	}
	if o.DialContext == nil {
		o.DialContext = plainDialer.DialContext
	}
	setDefault(&o.ConnectTimeout, 10*time.Second)
	setDefault(&o.WriteTimeout, 8*time.Second)
	setDefault(&o.RecoveryMin, 2*time.Second)
	setDefault(&o.RecoveryMax, 30*time.Second)
	o.RecoveryMax = max(o.RecoveryMax, o.RecoveryMin)
	if o.PingInterval == 0 {
		o.PingInterval = 5 * time.Second
	}
	setDefault(&o.PongTimeout, 4*time.Second)
	o.KeepAliveInterval = max(o.KeepAliveInterval, 0)
	setDefault(&o.MaxMessage, 64<<10)
	setDefault(&o.HardLimit, 16<<20)
	o.HardLimit = max(o.HardLimit, o.MaxMessage)
	setDefault(&o.MaxQueue, 1<<20)
	o.MaxQueue = max(o.MaxQueue, o.MaxMessage)
	if o.Numbers == nil {
		o.Numbers = new(atomic.Uint64)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// plainDialer is the default, shared because it has no settings and no state.
var plainDialer net.Dialer

// setDefault replaces what is not positive.
func setDefault[T int | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}

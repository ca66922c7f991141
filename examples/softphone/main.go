// Command softphone is a phone for people and for scripts: it registers, makes
// and takes calls, several at a time, and is told what to do line by line on
// its standard input.
//
//	go run ./examples/softphone -server wss://sip.example.com/ws -uri sip:alice@example.com -password secret
//	go run ./examples/softphone -config phone.json -json -play tone -answer auto
//	go run ./examples/softphone
//
// The last one, with none of -config, -server and -uri, brings its own SIP
// server and bob, a phone like it that answers every call and plays a tone: try
// "call bob", and "call status-486" for somebody who is busy.
//
// # Flags
//
//	-config file.json   configuration in JsSIP's parameter names; see sipua.Config
//	-server URL         WebSocket URL of the server, instead of that in -config
//	-uri URI            our address, likewise
//	-password SECRET    our password, likewise
//	-json               write events as JSON
//	-play WHAT          what callers hear: tone, a 440 Hz sine in G.711, or the name of an
//	                    Ogg Opus file; both go on until the call ends. Default: silence,
//	                    no packets at all
//	-answer MODE        manual, or auto: answer every call at once. Default: manual
//	-offers MODE        auto: take what the far end offers inside a call as far as we can, or
//	                    ask: each waits for accept or refuse, 20 s. Default: auto
//	-redirects MODE     tell, or follow: call where a call is redirected to. Default: tell
//	-anonymous GRADE    no, yes: calls do not name us, or full: nor show our addresses, which
//	                    needs a TURN server. Default: no
//	-dtmf TRANSPORT     how digits leave: rtp (RFC 4733), info (INFO requests), or auto:
//	                    rtp where the far end takes it, else info. Default: auto
//
// What is wrong with them, or with the configuration, is told on standard
// error, and the exit status is 2.
//
// # Commands
//
//	register               unregister
//	call TARGET            answer                 reject CODE            hangup
//	hold                   unhold                 mute                   unmute
//	dtmf DIGITS            info TYPE TEXT         stats                  quit
//	refer TARGET           attended ID ID         follow                 decline CODE
//	progress CODE          redirect TARGET        video on|off           restart-ice
//	accept                 refuse CODE            message TARGET TEXT    options TARGET
//
// A TARGET is a SIP URI, a user of our own domain, a number or a tel: URI. Each
// command takes an optional id=ID, the call that it is about; it stands right
// after the command or, but for message and info, at the end of the line. Without it the
// newest call is meant, whether or not it is the one that rings. Three commands
// are not about a call by themselves: call id=ID TARGET gives the new call its
// ID, and message and options go to a TARGET outside calls unless an ID is given,
// whose far end TARGET must be then. register, unregister and quit ignore it.
//
// Commands need not wait for each other: those that exchange messages run
// beside the rest, in order among those of one call, among the messages, among
// the options and among register and unregister. call, hangup, reject, mute,
// unmute and stats act at once.
//
// The end of the input is a quit that first gives the commands under way five
// seconds to finish. quit hangs up, unregisters and disconnects; so does an
// interrupt.
//
// # Events
//
// With -json each event is an object on a line of its own, as
//
//	{"event":"ended","id":"1","originator":"remote","cause":"Busy","status":486,"reason":"Busy Here"}
//
// and without it a line of text with the same names and values. Names without a
// value are left out. Every command comes to the event that its row names, or to
// an error. id is the call, a short text that stays the same; what is in
// brackets is not always there.
//
//	event               with                                    tells
//	connected           server                                  the WebSocket is up
//	disconnected        server reason                           it is gone, or an attempt failed
//	reconnecting        in attempt                              the next attempt follows in so many seconds
//	registered          expires [refreshed]                     register; expires is in seconds, refreshed true for a renewed binding
//	unregistered        [reason]                                unregister; the binding was removed, lapsed or lost
//	registrationFailed  [code] [cause] reason [retryIn]         a REGISTER was refused or came to nothing
//	degraded            id condition reason                     something is wrong with a call that goes on: unreachable, silent
//	recovered           id after                                it is all right again, after so many seconds
//	resumed             asleep                                  the machine slept so many seconds, and everything is checked
//	roundTrip           server ms                               the OPTIONS of options_interval was answered
//	calling             id to                                   call: the call exists and has its id
//	incoming            id from [name] to [replaces]            somebody calls; it rings. replaces is the id of the call that
//	                                                            ends when this one is answered
//	progress            id code reason                          a provisional response; from local, progress: it is on its
//	                    or originator code                      way, with early media if it is a 183
//	redirected          id code to                              a 3xx and the addresses in it
//	answered            id originator                           answer; the call is up
//	ended               id originator cause status [reason]     hangup, reject; the last event of a call, but for errors of commands
//	                                                            that came too late. cause is JsSIP's name; status is that of
//	                                                            the response which ended it, 0 for a call that was up
//	hold, unhold        id originator                           hold, unhold; local, or remote where the far end does it
//	mute, unmute        id                                      mute, unmute
//	dtmf                id originator digits                    dtmf, when the last digit is sent; from remote a single digit
//	                    [duration] [transport]                  with its duration in ms and rtp or info
//	refer               id originator to [replaces]             refer, attended: the far end agreed to try, and how it gets
//	                    or code reason final                    on; final is true for the last news. A call whose far end
//	                                                            was taken over is hung up
//	referred            id to [by] attended                     the far end wants us to call somebody: follow or decline,
//	                                                            within 25 s; follow comes to calling, with a new id
//	decline             id code                                 decline
//	video               id originator on                        video: agreed; what comes is received and not shown
//	restart-ice         id                                      restart-ice: agreed
//	offer               id method video                         with -offers ask: the far end offers something new
//	accept, refuse      id [code]                               accept, refuse
//	info                id originator type text                 info: it was delivered; from remote one that came
//	message             [id] originator [from] to text          message: it was delivered; from remote one that came
//	options             [id] to code allow                      options
//	stats               id packetsSent bytesSent packetsReceived bytesReceived candidatePair
//	                                                            stats: RTP packets and the bytes of their payload; the pair is
//	                                                            {local, remote}, each {address, port, type}, or null
//	error               [command] [id] [code] [cause] reason    the command failed or there is no such command
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/session/rtc"
	"github.com/gosipua/sipua/sip/siptest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// options are what the flags come to.
type options struct {
	config sipua.Config
	json   bool
	auto   bool // answer every call
	ask    bool // about offers of the far end
	goOn   bool // where a call is redirected
	dtmf   session.DTMFTransport

	anonymous session.Anonymity
	play      *source     // nil: nothing
	media     rtc.Options // of every call, but for tracks and codecs
}

// run is the whole program. It returns the exit status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	o, own, err := parseFlags(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2 // parseFlags has said why
	}
	if own {
		end, err := ownServer(&o.config)
		if err != nil {
			fmt.Fprintln(stderr, "softphone:", err)
			return 1
		}
		defer end()
	}
	o.config.Logger = slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: logLevel(o.config.TraceSIP)}))
	p, err := newPhone(o, stdout)
	if err != nil {
		fmt.Fprintln(stderr, "softphone:", err)
		return 2
	}
	if !o.json {
		fmt.Fprint(stdout, usage())
	}
	return p.run(ctx, stdin)
}

// parseFlags reads the command line and the files that it names. own says that
// the phone has to bring its own server.
func parseFlags(args []string, stderr io.Writer) (o options, own bool, err error) {
	flags := flag.NewFlagSet("softphone", flag.ContinueOnError)
	flags.SetOutput(stderr)
	var (
		config   = flags.String("config", "", "JSON `file` of JsSIP's parameters")
		server   = flags.String("server", "", "WebSocket `URL` of the SIP server")
		uri      = flags.String("uri", "", "our `address`")
		password = flags.String("password", "", "our `secret`")
		play     = flags.String("play", "", "what callers hear: tone, or an Ogg Opus `file`")
	)
	flags.BoolVar(&o.json, "json", false, "write events as JSON")
	flags.Func("answer", "`mode`: auto or manual (default manual)", choice(&o.auto, map[string]bool{"auto": true, "manual": false}))
	flags.Func("offers", "`mode` for offers inside calls: auto or ask (default auto)", choice(&o.ask, map[string]bool{"ask": true, "auto": false}))
	flags.Func("redirects", "`mode` for calls that are redirected: follow or tell (default tell)", choice(&o.goOn, map[string]bool{"follow": true, "tell": false}))
	flags.Func("anonymous", "`grade` of our calls: no, yes or full (default no)", choice(&o.anonymous, map[string]session.Anonymity{
		"no": session.Identified, "yes": session.Anonymous, "full": session.AnonymousFull,
	}))
	flags.Func("dtmf", "`transport` of digits: auto, rtp or info (default auto)", choice(&o.dtmf, map[string]session.DTMFTransport{
		"auto": session.DTMFAuto, "rtp": session.DTMFRTP, "info": session.DTMFInfo,
	}))
	if err := flags.Parse(args); err != nil {
		return o, false, err
	}
	fail := func(err error) (options, bool, error) {
		fmt.Fprintln(stderr, "softphone:", err)
		return o, false, err
	}
	if flags.NArg() > 0 {
		return fail(fmt.Errorf("unexpected argument %q: commands come on standard input", flags.Arg(0)))
	}
	if *config != "" {
		if o.config, err = readConfig(*config); err != nil {
			return fail(err)
		}
	}
	if *server != "" {
		o.config.WSServers = sipua.Servers(*server)
	}
	if *uri != "" {
		o.config.URI = *uri
	}
	if *password != "" {
		o.config.Password = *password
	}
	if o.play, err = openSource(*play); err != nil {
		return fail(err)
	}
	return o, *config == "" && *server == "" && *uri == "", nil
}

// choice makes a flag that takes one of the names of values.
func choice[T any](into *T, values map[string]T) func(string) error {
	return func(name string) error {
		v, ok := values[name]
		if !ok {
			return errors.New("no such choice")
		}
		*into = v
		return nil
	}
}

func readConfig(file string) (cfg sipua.Config, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return cfg, err
	}
	if err := json.Unmarshal(text, &cfg); err != nil {
		return cfg, fmt.Errorf("%s: %w", file, err)
	}
	return cfg, nil
}

// logLevel keeps the log to what matters, unless trace_sip asks for it all.
func logLevel(trace bool) slog.Level {
	if trace {
		return slog.LevelInfo
	}
	return slog.LevelError
}

// ownServer starts a SIP server in the process, and bob, and makes cfg that of
// alice, the server's other user. end ends them.
func ownServer(cfg *sipua.Config) (end func(), err error) {
	srv, err := siptest.NewServer(siptest.Options{
		Domain: "example.com",
		Users:  map[string]string{"alice": "wonderland", "bob": "builder"},
		Listen: true,
	})
	if err != nil {
		return nil, err
	}
	cfg.WSServers, cfg.STUNServers = sipua.Servers(srv.URL()), []string{}
	bob := options{config: *cfg, auto: true}
	bob.config.URI, bob.config.Password = "sip:bob@example.com", "builder"
	cfg.URI, cfg.Password = "sip:alice@example.com", "wonderland"
	bob.play, _ = openSource("tone") // it is no file
	phone, err := newPhone(bob, io.Discard)
	if err == nil {
		err = phone.ua.Start(context.Background())
	}
	return func() {
		phone.quit()
		srv.Close()
	}, err
}

package registrar

import (
	"errors"
	"maps"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/gosipua/sipua/sip"
)

const (
	instance  = "urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF"
	ourURI    = "sip:alice@a1.invalid;transport=ws"
	otherUUID = `"<urn:uuid:11111111-0000-1000-8000-AABBCCDDEEFF>"`
	ourUUID   = `"<` + instance + `>"`
)

// okay parses a 200 with those fields more, lines ending as in a Go text.
func okay(t *testing.T, fields string) *sip.Response {
	t.Helper()
	text := "SIP/2.0 200 OK\n" +
		"Via: SIP/2.0/WSS a1.invalid;branch=z9hG4bK1\n" +
		"From: <sip:alice@example.com>;tag=1\n" +
		"To: <sip:alice@example.com>;tag=2\n" +
		"Call-ID: 1\n" +
		"CSeq: 1 REGISTER\n" + fields + "\n\n"
	m, err := sip.Parse([]byte(strings.ReplaceAll(text, "\n", "\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	return m.(*sip.Response)
}

func uri(s string) sip.URI {
	u, err := sip.ParseURI(s)
	if err != nil {
		panic(err)
	}
	return u
}

// Our own Contact is found among others, and what it says is read.
func TestBindingContact(t *testing.T) {
	for _, tt := range []struct {
		name, fields string
		expires      int // 0: ErrNoBinding
		rewritten    bool
	}{
		{"alone", "Contact: <" + ourURI + ">;expires=300", 300, false},
		{"by instance and reg-id", "Contact: <sip:bob@b1.invalid>;expires=100, " +
			"<sip:x@203.0.113.1:5060>;reg-id=1;+sip.instance=" + ourUUID + ";expires=200", 200, true},
		{"by instance in another case", "Contact: <sip:bob@b1.invalid>;expires=100, <sip:x@203.0.113.1>;+sip.instance=" +
			strings.ToLower(ourUUID) + ";expires=200", 200, true},
		{"by instance, though another has our URI", "Contact: <" + ourURI + ">;expires=100;+sip.instance=" + otherUUID +
			", <sip:x@203.0.113.1>;expires=200;+sip.instance=" + ourUUID, 200, true},
		{"another flow of our instance", "Contact: <sip:old@a1.invalid>;expires=100;reg-id=2;+sip.instance=" + ourUUID +
			", <" + ourURI + ">;expires=200;reg-id=1;+sip.instance=" + ourUUID, 200, false},
		{"what an earlier run left", "Contact: <sip:old@a0.invalid>;expires=100;+sip.instance=" + ourUUID +
			", <" + ourURI + ">;expires=200;+sip.instance=" + ourUUID, 200, false},
		{"by GRUU", "Contact: <sip:bob@b1.invalid>;expires=100;pub-gruu=\"sip:alice@example.com;gr=urn:uuid:1\", " +
			"<sip:x@203.0.113.1>;expires=200;pub-gruu=\"sip:alice@example.com;gr=" + instance + "\"", 200, true},
		{"by URI", "Contact: <sip:bob@b1.invalid>;expires=100, <sip:%61lice@A1.invalid;TRANSPORT=WS>;expires=200", 200, false},
		{"by URI with a parameter more", "Contact: <sip:bob@b1.invalid>;expires=100, " +
			"<" + ourURI + ";alias=127.0.0.1~1~5>;expires=200", 200, false},
		{"in several fields, compact", "m: <sip:bob@b1.invalid>;expires=100\nContact: <" + ourURI + ">;expires=200", 200, false},
		{"unparsable foreign ones", "Contact: <<>;expires=100, <" + ourURI + ">;expires=200\nContact: sip:@@", 200, false},
		{"one rewritten", "Contact: <sip:x@203.0.113.1:5060>;expires=200", 200, true},
		{"one unparsable", "Contact: <<>\nExpires: 200", 200, true},
		{"none", "Expires: 200", 200, true},
		{"none and no Expires", "", 600, true},
		{"several foreign ones", "Contact: <sip:bob@b1.invalid>;expires=100, <sip:carol@c1.invalid>;expires=200", 0, false},
		{"a foreign one and an unparsable one", "Contact: <sip:bob@b1.invalid>;expires=100, <<>", 0, false},
		{"others with our user and host", "Contact: <sip:alice@a1.invalid>;expires=100, <sip:alice@a1.invalid;transport=tcp>;expires=200", 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, err := readBinding(okay(t, tt.fields), uri(ourURI), instance, 1, 600*time.Second)
			if tt.expires == 0 {
				if !errors.Is(err, ErrNoBinding) {
					t.Fatalf("binding %+v, error %v, want ErrNoBinding", b, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if want := time.Duration(tt.expires) * time.Second; b.expires != want || b.rewritten != tt.rewritten {
				t.Errorf("expires %v, rewritten %v, want %v and %v", b.expires, b.rewritten, want, tt.rewritten)
			}
		})
	}
}

// Without an instance of ours nobody else's is taken for it.
func TestBindingWithoutInstance(t *testing.T) {
	res := okay(t, `Contact: <sip:bob@b1.invalid>;expires=100;+sip.instance="", <`+ourURI+">;expires=200")
	if b, err := readBinding(res, uri(ourURI), "", 1, time.Minute); err != nil || b.expires != 200*time.Second {
		t.Errorf("%+v, %v, want 200 s", b, err)
	}
}

// The lifetime is our own Contact's, then the Expires field's, then the one asked
// for, within bounds.
func TestBindingExpires(t *testing.T) {
	for _, tt := range []struct {
		name, fields string
		want         time.Duration // 0: ErrNoBinding
	}{
		{"Contact before Expires", "Contact: <" + ourURI + ">;expires=300\nExpires: 400", 300 * time.Second},
		{"Expires", "Contact: <" + ourURI + ">\nExpires: 400", 400 * time.Second},
		{"Expires, not another's", "Contact: <sip:bob@b1.invalid>;expires=100, <" + ourURI + ">\nExpires: 400", 400 * time.Second},
		{"asked", "Contact: <" + ourURI + ">", 600 * time.Second},
		{"malformed", "Contact: <" + ourURI + ">;expires=soon\nExpires: tomorrow", 600 * time.Second},
		{"empty", "Contact: <" + ourURI + ">;expires", 600 * time.Second},
		{"quoted", "Contact: <" + ourURI + `>;expires="300"`, 300 * time.Second},
		{"more than asked", "Contact: <" + ourURI + ">;expires=3600", time.Hour},
		{"short", "Contact: <" + ourURI + ">;expires=1", 10 * time.Second},
		{"long", "Contact: <" + ourURI + ">;expires=4294967295", 24 * time.Hour},
		{"none of ours", "Contact: <" + ourURI + ">;expires=0", 0},
		{"none of any", "Expires: 0", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, err := readBinding(okay(t, tt.fields), uri(ourURI), instance, 1, 600*time.Second)
			if b.expires != tt.want || errors.Is(err, ErrNoBinding) != (tt.want == 0) {
				t.Errorf("%v, %v, want %v", b.expires, err, tt.want)
			}
		})
	}
}

// GRUUs, routes, keep-alives and the other bindings come along.
func TestBindingMore(t *testing.T) {
	const pub, temp = "sip:alice@example.com;gr=" + instance, "sip:tgruu.7hs@example.com;gr"
	res := okay(t, "Contact: <sip:bob@b1.invalid>;pub-gruu=\"sip:bob@example.com;gr=1\""+
		",\n <"+ourURI+">;expires=300;+sip.instance="+ourUUID+`;pub-gruu="`+pub+`";temp-gruu="`+temp+`"`+
		"\nService-Route: <sip:p2.example.com;lr>, <sip:hsp.example.com;lr>\nService-Route: <sip:last.example.com;lr>"+
		"\nFlow-Timer: 120")
	b, err := readBinding(res, uri(ourURI), instance, 1, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if b.public != uri(pub) || b.temporary != uri(temp) {
		t.Errorf("GRUUs %v and %v", b.public, b.temporary)
	}
	if len(b.contacts) != 2 || b.contacts[0].URI.User != "bob" {
		t.Errorf("contacts %v", b.contacts)
	}
	if len(b.routes) != 3 || b.routes[2].URI.Host != "last.example.com" {
		t.Errorf("routes %v", b.routes)
	}
	if b.flowTimer != 120*time.Second {
		t.Errorf("Flow-Timer %v", b.flowTimer)
	}

	res = okay(t, "Contact: <"+ourURI+`>;pub-gruu="@";temp-gruu`+
		"\nService-Route: <sip:p2.example.com;lr>, <<>")
	if b, err = readBinding(res, uri(ourURI), instance, 1, time.Minute); err != nil {
		t.Fatal(err)
	}
	if !b.public.IsZero() || !b.temporary.IsZero() || b.routes != nil || b.flowTimer != 0 {
		t.Errorf("of what cannot be read came %+v", b)
	}
}

func TestFlowTimer(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"Flow-Timer: 25":                         25 * time.Second,
		"Flow-Timer: 120\r\x00Server: kamailio":  120 * time.Second, // Kamailio 5.6.3
		"Flow-Timer: 86400":                      time.Hour,
		"Flow-Timer: 99999999999999999999999999": time.Hour,
		"Flow-Timer: 0":                          0,
		"Flow-Timer: -5":                         0,
		"Flow-Timer: soon":                       0,
		"Flow-Timer:":                            0,
		"X: 1":                                   0,
	} {
		if got := flowTimerOf(okay(t, text)); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

// After the first failure the wait is between 30 and 60 s; it doubles up to
// half an hour (RFC 5626, appendix A).
func TestBackoffGrows(t *testing.T) {
	var b backoff
	now := time.Unix(0, 0)
	for failures, most := range []time.Duration{60, 120, 240, 480, 960, 1800, 1800, 1800} {
		most *= time.Second
		for range 50 {
			try := backoff{maps.Clone(b.servers)}
			if got := try.failed(errors.New("failed"), "", false, now); got < most/2 || got >= most {
				t.Fatalf("after %d failures: %v, want [%v, %v)", failures+1, got, most/2, most)
			}
		}
		b.failed(errors.New("failed"), "", false, now)
	}
	b.servers[""] = failing{failures: math.MaxInt - 1}
	if got := b.failed(errors.New("failed"), "", false, now); got < maxWait/2 || got >= maxWait {
		t.Errorf("after ever so many: %v", got)
	}
	b.succeeded("")
	if got := b.failed(errors.New("failed"), "", false, now); got < 30*time.Second || got >= time.Minute {
		t.Errorf("after a success: %v", got)
	}
}

func TestBackoffRetryAfter(t *testing.T) {
	refusal := func(field string) error {
		res := okay(t, field)
		if err := res.SetStatus(503, ""); err != nil {
			t.Fatal(err)
		}
		return &sip.ResponseError{Method: sip.REGISTER, Response: res}
	}
	now := time.Unix(0, 0)
	for field, want := range map[string]time.Duration{
		"Retry-After: 5":                        5 * time.Second,
		"Retry-After: 120 (a break);duration=9": 2 * time.Minute,
		"Retry-After: 3600":                     time.Hour,
		"Retry-After: 86400":                    time.Hour,
		"Retry-After: 99999999999999":           time.Hour,
		"Retry-After: 0":                        0,
	} {
		var b backoff
		if got := b.failed(refusal(field), "wss://a", false, now); got != want {
			t.Errorf("%s: %v, want %v", field, got, want)
		}
		if got := b.left("wss://a", now.Add(want/2)); got != want-want/2 {
			t.Errorf("%s: asks for %v more after half of it", field, got)
		}
		if got := b.left("wss://b", now) + b.left("wss://a", now.Add(want)); got != 0 {
			t.Errorf("%s: asks for %v of another server or too late", field, got)
		}
	}
	for _, field := range []string{"Retry-After: soon", "X: 1"} {
		var b backoff
		if got := b.failed(refusal(field), "", false, now); got < 30*time.Second || got >= time.Minute {
			t.Errorf("%s: %v", field, got)
		}
	}
	var b backoff
	b.failed(errors.New("failed"), "", false, now)
	if got := b.failed(refusal("Retry-After: 0"), "", false, now); got < time.Minute {
		t.Errorf("at once again: %v", got)
	}
}

// Two attempts with credentials are free, the next one waits for the minute since
// the first of them.
func TestBackoffHolds(t *testing.T) {
	var b lockout
	now := time.Unix(1e9, 0)
	at := func(s int) time.Time { return now.Add(time.Duration(s) * time.Second) }
	for _, step := range []struct {
		second int
		want   time.Duration // before the attempt
	}{{0, 0}, {10, 0}, {20, 40}, {60, 0}, {61, 9}, {70, 0}, {200, 0}, {201, 0}, {202, 58}} {
		if got := b.hold(at(step.second)); got != step.want*time.Second {
			t.Errorf("at %d s: hold %v, want %v s", step.second, got, step.want)
		}
		if step.want == 0 {
			b.tried(at(step.second))
		}
	}
	b.succeeded()
	if got := b.hold(at(202)); got != 0 {
		t.Errorf("after a success: hold %v", got)
	}
}

// A binding is renewed between half and five sixths of its life, five seconds
// before its end at the latest.
func TestRefreshIn(t *testing.T) {
	for _, tt := range []struct{ expires, earliest, latest time.Duration }{
		{10, 5, 5}, {12, 6, 7}, {30, 15, 25}, {60, 30, 50}, {600, 300, 500}, {3600, 1800, 3000}, {86400, 43200, 72000},
	} {
		low, high := tt.latest*time.Second, time.Duration(0)
		for range 300 {
			got := refreshIn(tt.expires * time.Second)
			low, high = min(low, got), max(high, got)
		}
		span := (tt.latest - tt.earliest) * time.Second
		if low < tt.earliest*time.Second || high > tt.latest*time.Second || high-low < span*9/10 {
			t.Errorf("%v s: between %v and %v, want %v and %v s", int64(tt.expires), low, high, int64(tt.earliest), int64(tt.latest))
		}
	}
}

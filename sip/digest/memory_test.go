package digest

import (
	"errors"
	"math"
	"strconv"
	"testing"

	"github.com/gosipua/sipua/sip"
)

// A count that wrapped would be a replay.
func TestNonceUsedUp(t *testing.T) {
	c := NewClient(Policy{})
	ch := Challenge{Realm: "r", Nonce: "n", QOP: []string{"auth"}}
	in := Input{Method: sip.OPTIONS, URI: "sip:a"}
	cred := Password("u", "p")
	if _, err := c.Authorize(ch, cred, in); err != nil {
		t.Fatal(err)
	}
	s := c.memory.session("", "r", false)
	s.nonce.count = math.MaxUint32 - 1
	f, ok := c.Preemptive(in, false, "r", cred)
	if a, err := ParseAuthorization(f.Value); !ok || err != nil || a.NC != math.MaxUint32 {
		t.Errorf("last use: %s, %v", f.Value, err)
	}
	if f, ok := c.Preemptive(in, false, "r", cred); ok {
		t.Errorf("used up, yet %s", f.Value)
	}
	if f, err := c.Authorize(ch, cred, in); !errors.Is(err, ErrExhausted) {
		t.Errorf("used up, yet %s, %v", f.Value, err)
	}
}

func TestFloorsAreBounded(t *testing.T) {
	c := NewClient(Policy{})
	cred := Password("u", "p")
	for i := range maxFloors + 10 {
		ch := Challenge{Realm: strconv.Itoa(i), Nonce: "n", Algorithm: SHA256}
		if _, err := c.Authorize(ch, cred, Input{Method: sip.INVITE, URI: "sip:a"}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(c.memory.floors); n != maxFloors {
		t.Errorf("%d floors", n)
	}
	weak := Challenge{Realm: "0", Nonce: "n"}
	var de *DowngradeError
	if _, err := c.Choose([]Challenge{weak}); !errors.As(err, &de) {
		t.Errorf("the first was dropped: %v", err)
	}
	// a known realm can still rise
	ch := Challenge{Realm: "0", Nonce: "n", Algorithm: SHA512256}
	if _, err := c.Authorize(ch, cred, Input{Method: sip.REGISTER, URI: "sip:a"}); err != nil || !c.memory.floors["0"].register {
		t.Errorf("%v, %+v", err, c.memory.floors["0"])
	}
}

// What is remembered must not keep the message alive it came from.
func TestKeptDropsWhatIsNotNeeded(t *testing.T) {
	ch, err := ParseChallenge(`Digest realm="r", nonce="n", qop="auth", domain="sip:a", charset=UTF-8, x=y, opaque=""`)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := ch.kept().String(), `Digest realm="r", nonce="n", opaque="", qop="auth"`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

package sip

import (
	"crypto/rand"
	"encoding/base32"
	"sync"
)

// token32 is lower case base32 without padding: token characters that survive case folding on the way.
var token32 = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// random is crypto/rand, read in portions: a request needs three tokens, and to ask for each by itself costs
// more than all else about them. Nothing that has to stay secret comes from here.
var random portions

type portions struct {
	mu   sync.Mutex
	buf  [256]byte // guarded by mu
	left int       // guarded by mu; at the end of buf, not given out yet
}

// read fills b, which is shorter than a portion.
func (p *portions) read(b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left < len(b) {
		_, _ = rand.Read(p.buf[:]) // never fails
		p.left = len(p.buf)
	}
	copy(b, p.buf[len(p.buf)-p.left:])
	p.left -= len(b)
}

func randomToken(prefix string, bytes int) string {
	var raw [20]byte
	var text [48]byte
	random.read(raw[:bytes])
	n := copy(text[:], prefix)
	token32.Encode(text[n:], raw[:bytes])
	return string(text[:n+token32.EncodedLen(bytes)])
}

// NewTag is a tag with 80 random bits (RFC 3261 §19.3 asks for 32).
func NewTag() string { return randomToken("", 10) }

// BranchCookie begins every branch parameter made under RFC 3261 (§8.1.1.7).
const BranchCookie = "z9hG4bK"

// NewBranch is a branch parameter: the cookie and 100 random bits or more.
func NewBranch() string { return randomToken(BranchCookie, 15) }

// NewCallID is a Call-ID of 160 random bits, without the name of the host (RFC 3261 §8.1.1.4).
func NewCallID() string { return randomToken("", 20) }

package digest

import (
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"io"
	"strings"
)

// Algorithm is the hash of a challenge, by its name in the IANA registry "Hash Algorithms for HTTP Digest
// Authentication" (RFC 7616 §6.1, RFC 8760 §2.7).
type Algorithm string

// The algorithms this package computes. The -sess forms hash the first nonce and cnonce of a session into the key
// (RFC 7616 §3.4.2).
const (
	MD5           Algorithm = "MD5"
	MD5Sess       Algorithm = "MD5-sess"
	SHA256        Algorithm = "SHA-256"
	SHA256Sess    Algorithm = "SHA-256-sess"
	SHA512256     Algorithm = "SHA-512-256"
	SHA512256Sess Algorithm = "SHA-512-256-sess"
)

var algorithms = [...]Algorithm{SHA512256, SHA512256Sess, SHA256, SHA256Sess, MD5, MD5Sess}

// canonical is the registered spelling of name, which compares case-insensitively; unknown names stay as they are.
func canonical(name string) Algorithm {
	for _, a := range algorithms {
		if strings.EqualFold(name, string(a)) {
			return a
		}
	}
	return Algorithm(name)
}

// orMD5 is a, or MD5 for none (RFC 7616 §3.3).
func (a Algorithm) orMD5() Algorithm {
	if a == "" {
		return MD5
	}
	return a
}

// session reports a -sess form.
func (a Algorithm) session() bool { return strings.HasSuffix(string(a), "-sess") }

// base is the algorithm without -sess.
func (a Algorithm) base() Algorithm { return Algorithm(strings.TrimSuffix(string(a), "-sess")) }

// strength orders algorithms for the refusal of downgrades; 0 is unknown. The SHA-2 forms are equals: RFC 7616 §3.7
// calls SHA-512-256 the backup of SHA-256, not its successor.
func (a Algorithm) strength() int {
	switch a {
	case SHA512256, SHA512256Sess, SHA256, SHA256Sess:
		return 2
	case MD5, MD5Sess:
		return 1
	}
	return 0
}

// hash is only called for algorithms of known strength.
func (a Algorithm) hash() hash.Hash {
	switch a.base() {
	case SHA512256:
		return sha512.New512_256()
	case SHA256:
		return sha256.New()
	}
	return md5.New()
}

// sum is H(parts joined by colons) in lower-case hexadecimal (RFC 7616 §3.2).
func (a Algorithm) sum(parts ...string) string {
	h := a.hash()
	for i, p := range parts {
		if i > 0 {
			io.WriteString(h, ":") // a hash never fails to write
		}
		io.WriteString(h, p)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// sumBody is H(entity-body); an empty body hashes as the empty string (RFC 8760 §2.6 item 7).
func (a Algorithm) sumBody(body []byte) string {
	h := a.hash()
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil))
}

// use is one use of a nonce.
type use struct {
	nonce, cnonce           string
	count                   uint32
	firstNonce, firstCNonce string // -sess: those the session began with
}

// proof is all that goes into one request-digest or response-digest.
type proof struct {
	algorithm Algorithm
	ha1       string // H(username:realm:password)
	use
	qop    string // "auth", "auth-int" or "" for the form of RFC 2069
	method string // "" for rspauth (RFC 7616 §3.5)
	uri    string
	body   []byte
}

// digest is the response of RFC 7616 §3.4.1, and without qop that of RFC 2069, which RFC 3261 §22.4 keeps alive.
func (p *proof) digest() string {
	a := p.algorithm
	ha1 := p.ha1
	if a.session() {
		ha1 = a.sum(ha1, p.firstNonce, p.firstCNonce)
	}
	var ha2 string
	if p.qop == authInt {
		ha2 = a.sum(p.method, p.uri, a.sumBody(p.body))
	} else {
		ha2 = a.sum(p.method, p.uri)
	}
	if p.qop == "" {
		return a.sum(ha1, p.nonce, ha2)
	}
	return a.sum(ha1, p.nonce, formatCount(p.count), p.cnonce, p.qop, ha2)
}

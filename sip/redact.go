package sip

import "bytes"

const redacted = "[redacted]"

// isSecret says whether a field's value is a credential.
func isSecret(id headerID) bool { return id == hAuthorization || id == hProxyAuthorization }

// Redact appends msg, one message as written on the wire, to dst without its secrets: of Authorization and
// Proxy-Authorization only the scheme stays ("Digest", "Bearer"), and the passwords in URIs are left out. It takes
// any bytes, a message or not, and never changes msg. The body goes out as it is.
func Redact(dst, msg []byte) []byte {
	secret := false
	for len(msg) > 0 {
		line := msg
		if n := bytes.IndexByte(msg, '\n'); n >= 0 {
			line = msg[:n+1]
		}
		msg = msg[len(line):]
		text := bytes.TrimRight(line, "\r\n")
		if len(text) == 0 { // the body follows
			return append(append(dst, line...), msg...)
		}
		if isBlank(text[0]) && secret {
			continue // a folded credential
		}
		name, value, found := bytes.Cut(text, []byte{':'})
		id, _ := identify(trimBlank(string(name)))
		if secret = found && isSecret(id); !secret {
			dst = appendWithoutPasswords(dst, line)
			continue
		}
		scheme, _, more := bytes.Cut(bytes.TrimLeft(value, " \t"), []byte{' '})
		dst = append(append(dst, name...), ": "...)
		if more && isToken(string(scheme)) {
			dst = append(append(dst, scheme...), ' ')
		}
		dst = append(append(dst, redacted...), line[len(text):]...)
	}
	return dst
}

// appendWithoutPasswords appends a line with the password of each sip and sips URI left out (RFC 3261 §19.1.1).
func appendWithoutPasswords(dst, line []byte) []byte {
	for {
		n := uriStart(line)
		if n < 0 {
			return append(dst, line...)
		}
		dst = append(dst, line[:n]...)
		line = line[n:]
		end := bytes.IndexAny(line, "@<>\" \t\r\n")
		if end < 0 || line[end] != '@' {
			continue // no user, or none that ends
		}
		if colon := bytes.IndexByte(line[:end], ':'); colon >= 0 {
			dst = append(append(dst, line[:colon+1]...), redacted...)
			line = line[end:]
		}
	}
}

// uriStart is the index behind the first "sip:" or "sips:" in line, or -1.
func uriStart(line []byte) int {
	for i := 0; i+4 <= len(line); i++ {
		if line[i]|0x20 != 's' || line[i+1]|0x20 != 'i' || line[i+2]|0x20 != 'p' {
			continue
		}
		switch {
		case line[i+3] == ':':
			return i + 4
		case line[i+3]|0x20 == 's' && i+4 < len(line) && line[i+4] == ':':
			return i + 5
		}
	}
	return -1
}

// Package sip has the messages and the vocabulary of SIP (RFC 3261) as values.
package sip

package sip

// Method is a SIP method. Any token is one; comparison is exact, case included (RFC 3261 §7.1).
type Method string

// The registered methods.
const (
	INVITE    Method = "INVITE"    // RFC 3261 §13
	ACK       Method = "ACK"       // RFC 3261 §13
	BYE       Method = "BYE"       // RFC 3261 §15
	CANCEL    Method = "CANCEL"    // RFC 3261 §9
	OPTIONS   Method = "OPTIONS"   // RFC 3261 §11
	REGISTER  Method = "REGISTER"  // RFC 3261 §10
	PRACK     Method = "PRACK"     // RFC 3262
	UPDATE    Method = "UPDATE"    // RFC 3311
	INFO      Method = "INFO"      // RFC 6086
	MESSAGE   Method = "MESSAGE"   // RFC 3428
	REFER     Method = "REFER"     // RFC 3515
	NOTIFY    Method = "NOTIFY"    // RFC 6665
	SUBSCRIBE Method = "SUBSCRIBE" // RFC 6665
	PUBLISH   Method = "PUBLISH"   // RFC 3903
)

// Package registrar keeps a user agent registered with its registrar
// (RFC 3261 §10.2): it registers over each new flow, refreshes the binding
// before it lapses, and tries again with back-off after a failure (RFC 5626
// §4.5), for ever.
//
// Over several flows at once (RFC 5626 §4.2) each has its own registration, where
// the registrar keeps several; else one flow is registered and the others stand by.
// A server that fails to register us is left alone as long as §4.5 says, or its
// Retry-After, also by new connections; another one is tried meanwhile.
//
// It takes care not to lock the account out. When the registrar refuses the
// credentials, nothing is tried by itself until there are others or Register is
// called; and where two attempts with credentials have come to nothing, whoever
// asked for them, the next one waits until a minute has passed since the first.
//
// It understands what a registrar tells along with a binding: the granted
// expiry, GRUUs (RFC 5627), Service-Route (RFC 3608), Flow-Timer (RFC 5626) and
// the other bindings of the address.
//
// A program uses it through sipua.UA, which makes one [Set] and hands its
// [Event] values to the application.
package registrar

// Package registrar keeps a user agent registered with its registrar
// (RFC 3261 §10.2): it registers over each new flow, refreshes the binding
// before it lapses, tries again with back-off after a failure, and stops where
// trying again would lock the account out.
//
// It understands what a registrar tells along with a binding: the granted
// expiry, GRUUs (RFC 5627), Service-Route (RFC 3608), Flow-Timer (RFC 5626) and
// the other bindings of the address.
//
// A program uses it through sipua.UA, which makes one [Registrar] and hands its
// [Event] values to the application.
package registrar

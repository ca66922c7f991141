package sip

import "strconv"

// StatusCode is the status of a response (RFC 3261 §7.2). It is an error, so that errors.Is(err,
// sip.StatusBusyHere) asks an error for its status.
type StatusCode int

// The registered status codes; a section without an RFC is one of RFC 3261.
const (
	StatusTrying                              StatusCode = 100 // §21.1.1
	StatusRinging                             StatusCode = 180 // §21.1.2
	StatusCallIsBeingForwarded                StatusCode = 181 // §21.1.3
	StatusQueued                              StatusCode = 182 // §21.1.4
	StatusSessionProgress                     StatusCode = 183 // §21.1.5
	StatusEarlyDialogTerminated               StatusCode = 199 // RFC 6228
	StatusOK                                  StatusCode = 200 // §21.2.1
	StatusAccepted                            StatusCode = 202 // RFC 6665 §8.3.1
	StatusNoNotification                      StatusCode = 204 // RFC 5839
	StatusMultipleChoices                     StatusCode = 300 // §21.3.1
	StatusMovedPermanently                    StatusCode = 301 // §21.3.2
	StatusMovedTemporarily                    StatusCode = 302 // §21.3.3
	StatusUseProxy                            StatusCode = 305 // §21.3.4
	StatusAlternativeService                  StatusCode = 380 // §21.3.5
	StatusBadRequest                          StatusCode = 400 // §21.4.1
	StatusUnauthorized                        StatusCode = 401 // §21.4.2
	StatusPaymentRequired                     StatusCode = 402 // §21.4.3
	StatusForbidden                           StatusCode = 403 // §21.4.4
	StatusNotFound                            StatusCode = 404 // §21.4.5
	StatusMethodNotAllowed                    StatusCode = 405 // §21.4.6
	StatusNotAcceptable                       StatusCode = 406 // §21.4.7
	StatusProxyAuthenticationRequired         StatusCode = 407 // §21.4.8
	StatusRequestTimeout                      StatusCode = 408 // §21.4.9
	StatusGone                                StatusCode = 410 // §21.4.10
	StatusConditionalRequestFailed            StatusCode = 412 // RFC 3903
	StatusRequestEntityTooLarge               StatusCode = 413 // §21.4.11
	StatusRequestURITooLong                   StatusCode = 414 // §21.4.12
	StatusUnsupportedMediaType                StatusCode = 415 // §21.4.13
	StatusUnsupportedURIScheme                StatusCode = 416 // §21.4.14
	StatusUnknownResourcePriority             StatusCode = 417 // RFC 4412
	StatusBadExtension                        StatusCode = 420 // §21.4.15
	StatusExtensionRequired                   StatusCode = 421 // §21.4.16
	StatusSessionIntervalTooSmall             StatusCode = 422 // RFC 4028
	StatusIntervalTooBrief                    StatusCode = 423 // §21.4.17
	StatusBadLocationInformation              StatusCode = 424 // RFC 6442
	StatusBadAlertMessage                     StatusCode = 425 // RFC 8876
	StatusUseIdentityHeader                   StatusCode = 428 // RFC 8224
	StatusProvideReferrerIdentity             StatusCode = 429 // RFC 3892
	StatusFlowFailed                          StatusCode = 430 // RFC 5626
	StatusAnonymityDisallowed                 StatusCode = 433 // RFC 5079
	StatusBadIdentityInfo                     StatusCode = 436 // RFC 8224
	StatusUnsupportedCredential               StatusCode = 437 // RFC 8224
	StatusInvalidIdentityHeader               StatusCode = 438 // RFC 8224
	StatusFirstHopLacksOutboundSupport        StatusCode = 439 // RFC 5626
	StatusMaxBreadthExceeded                  StatusCode = 440 // RFC 5393
	StatusBadInfoPackage                      StatusCode = 469 // RFC 6086
	StatusConsentNeeded                       StatusCode = 470 // RFC 5360
	StatusTemporarilyUnavailable              StatusCode = 480 // §21.4.18
	StatusCallDoesNotExist                    StatusCode = 481 // §21.4.19
	StatusLoopDetected                        StatusCode = 482 // §21.4.20
	StatusTooManyHops                         StatusCode = 483 // §21.4.21
	StatusAddressIncomplete                   StatusCode = 484 // §21.4.22
	StatusAmbiguous                           StatusCode = 485 // §21.4.23
	StatusBusyHere                            StatusCode = 486 // §21.4.24
	StatusRequestTerminated                   StatusCode = 487 // §21.4.25
	StatusNotAcceptableHere                   StatusCode = 488 // §21.4.26
	StatusBadEvent                            StatusCode = 489 // RFC 6665
	StatusRequestPending                      StatusCode = 491 // §21.4.27
	StatusUndecipherable                      StatusCode = 493 // §21.4.28
	StatusSecurityAgreementRequired           StatusCode = 494 // RFC 3329
	StatusServerInternalError                 StatusCode = 500 // §21.5.1
	StatusNotImplemented                      StatusCode = 501 // §21.5.2
	StatusBadGateway                          StatusCode = 502 // §21.5.3
	StatusServiceUnavailable                  StatusCode = 503 // §21.5.4
	StatusServerTimeout                       StatusCode = 504 // §21.5.5
	StatusVersionNotSupported                 StatusCode = 505 // §21.5.6
	StatusMessageTooLarge                     StatusCode = 513 // §21.5.7
	StatusPushNotificationServiceNotSupported StatusCode = 555 // RFC 8599
	StatusPreconditionFailure                 StatusCode = 580 // RFC 3312
	StatusBusyEverywhere                      StatusCode = 600 // §21.6.1
	StatusDecline                             StatusCode = 603 // §21.6.2
	StatusDoesNotExistAnywhere                StatusCode = 604 // §21.6.3
	StatusNotAcceptableAnywhere               StatusCode = 606 // §21.6.4
	StatusUnwanted                            StatusCode = 607 // RFC 8197
	StatusRejected                            StatusCode = 608 // RFC 8688
)

var reasons = [...]string{
	StatusTrying:                              "Trying",
	StatusRinging:                             "Ringing",
	StatusCallIsBeingForwarded:                "Call Is Being Forwarded",
	StatusQueued:                              "Queued",
	StatusSessionProgress:                     "Session Progress",
	StatusEarlyDialogTerminated:               "Early Dialog Terminated",
	StatusOK:                                  "OK",
	StatusAccepted:                            "Accepted",
	StatusNoNotification:                      "No Notification",
	StatusMultipleChoices:                     "Multiple Choices",
	StatusMovedPermanently:                    "Moved Permanently",
	StatusMovedTemporarily:                    "Moved Temporarily",
	StatusUseProxy:                            "Use Proxy",
	StatusAlternativeService:                  "Alternative Service",
	StatusBadRequest:                          "Bad Request",
	StatusUnauthorized:                        "Unauthorized",
	StatusPaymentRequired:                     "Payment Required",
	StatusForbidden:                           "Forbidden",
	StatusNotFound:                            "Not Found",
	StatusMethodNotAllowed:                    "Method Not Allowed",
	StatusNotAcceptable:                       "Not Acceptable",
	StatusProxyAuthenticationRequired:         "Proxy Authentication Required",
	StatusRequestTimeout:                      "Request Timeout",
	StatusGone:                                "Gone",
	StatusConditionalRequestFailed:            "Conditional Request Failed",
	StatusRequestEntityTooLarge:               "Request Entity Too Large",
	StatusRequestURITooLong:                   "Request-URI Too Long",
	StatusUnsupportedMediaType:                "Unsupported Media Type",
	StatusUnsupportedURIScheme:                "Unsupported URI Scheme",
	StatusUnknownResourcePriority:             "Unknown Resource-Priority",
	StatusBadExtension:                        "Bad Extension",
	StatusExtensionRequired:                   "Extension Required",
	StatusSessionIntervalTooSmall:             "Session Interval Too Small",
	StatusIntervalTooBrief:                    "Interval Too Brief",
	StatusBadLocationInformation:              "Bad Location Information",
	StatusBadAlertMessage:                     "Bad Alert Message",
	StatusUseIdentityHeader:                   "Use Identity Header",
	StatusProvideReferrerIdentity:             "Provide Referrer Identity",
	StatusFlowFailed:                          "Flow Failed",
	StatusAnonymityDisallowed:                 "Anonymity Disallowed",
	StatusBadIdentityInfo:                     "Bad Identity Info",
	StatusUnsupportedCredential:               "Unsupported Credential",
	StatusInvalidIdentityHeader:               "Invalid Identity Header",
	StatusFirstHopLacksOutboundSupport:        "First Hop Lacks Outbound Support",
	StatusMaxBreadthExceeded:                  "Max-Breadth Exceeded",
	StatusBadInfoPackage:                      "Bad Info Package",
	StatusConsentNeeded:                       "Consent Needed",
	StatusTemporarilyUnavailable:              "Temporarily Unavailable",
	StatusCallDoesNotExist:                    "Call/Transaction Does Not Exist",
	StatusLoopDetected:                        "Loop Detected",
	StatusTooManyHops:                         "Too Many Hops",
	StatusAddressIncomplete:                   "Address Incomplete",
	StatusAmbiguous:                           "Ambiguous",
	StatusBusyHere:                            "Busy Here",
	StatusRequestTerminated:                   "Request Terminated",
	StatusNotAcceptableHere:                   "Not Acceptable Here",
	StatusBadEvent:                            "Bad Event",
	StatusRequestPending:                      "Request Pending",
	StatusUndecipherable:                      "Undecipherable",
	StatusSecurityAgreementRequired:           "Security Agreement Required",
	StatusServerInternalError:                 "Server Internal Error",
	StatusNotImplemented:                      "Not Implemented",
	StatusBadGateway:                          "Bad Gateway",
	StatusServiceUnavailable:                  "Service Unavailable",
	StatusServerTimeout:                       "Server Time-out",
	StatusVersionNotSupported:                 "Version Not Supported",
	StatusMessageTooLarge:                     "Message Too Large",
	StatusPushNotificationServiceNotSupported: "Push Notification Service Not Supported",
	StatusPreconditionFailure:                 "Precondition Failure",
	StatusBusyEverywhere:                      "Busy Everywhere",
	StatusDecline:                             "Decline",
	StatusDoesNotExistAnywhere:                "Does Not Exist Anywhere",
	StatusNotAcceptableAnywhere:               "Not Acceptable",
	StatusUnwanted:                            "Unwanted",
	StatusRejected:                            "Rejected",
}

// Error is the code and its phrase: "486 Busy Here".
func (c StatusCode) Error() string {
	s := strconv.Itoa(int(c))
	if r := c.Reason(); r != "" {
		s += " " + r
	}
	return s
}

// Reason is the registered phrase, "" for a code that is not registered.
func (c StatusCode) Reason() string {
	if c < 0 || int(c) >= len(reasons) {
		return ""
	}
	return reasons[c]
}

// IsProvisional says whether the code is a 1xx.
func (c StatusCode) IsProvisional() bool { return c/100 == 1 }

// IsSuccess says whether the code is a 2xx.
func (c StatusCode) IsSuccess() bool { return c/100 == 2 }

// IsRedirection says whether the code is a 3xx.
func (c StatusCode) IsRedirection() bool { return c/100 == 3 }

// IsFinal says whether the code ends a transaction: anything from 200 on.
func (c StatusCode) IsFinal() bool { return c >= 200 }

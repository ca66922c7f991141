package sip

// headerID is a known header field name; comparing it spares comparing names.
type headerID uint8

const (
	hUnknown headerID = iota
	hVia
	hFrom
	hTo
	hCallID
	hCSeq
	hContact
	hMaxForwards
	hContentLength
	hContentType
	hContentEncoding
	hContentDisposition
	hContentID
	hContentLanguage
	hRoute
	hRecordRoute
	hPath
	hServiceRoute
	hExpires
	hMinExpires
	hAllow
	hAllowEvents
	hSupported
	hRequire
	hProxyRequire
	hUnsupported
	hAccept
	hAcceptEncoding
	hAcceptLanguage
	hAcceptContact
	hRejectContact
	hRequestDisposition
	hAuthorization
	hProxyAuthorization
	hWWWAuthenticate
	hProxyAuthenticate
	hAuthenticationInfo
	hProxyAuthenticationInfo
	hUserAgent
	hServer
	hDate
	hTimestamp
	hSubject
	hOrganization
	hPriority
	hRetryAfter
	hWarning
	hReason
	hEvent
	hSubscriptionState
	hSessionExpires
	hMinSE
	hRSeq
	hRAck
	hReferTo
	hReferSub
	hReferredBy
	hReplaces
	hJoin
	hTargetDialog
	hPrivacy
	hPAssertedIdentity
	hPPreferredIdentity
	hPAccessNetworkInfo
	hPAssociatedURI
	hPCalledPartyID
	hPChargingVector
	hPEarlyMedia
	hRemotePartyID
	hDiversion
	hHistoryInfo
	hIdentity
	hFlowTimer
	hSIPETag
	hSIPIfMatch
	hInfoPackage
	hRecvInfo
	hInReplyTo
	hReplyTo
	hAlertInfo
	hCallInfo
	hErrorInfo
	hMIMEVersion
	hFeatureCaps
	hGeolocation
	hMaxBreadth
	hSecurityClient
	hSecurityServer
	hSecurityVerify
	hAnswerMode
	hSessionID
	hUsertoUser
	hSuppressIfMatch
	hIdentityInfo
	headerCount

	// hLastMandatory ends the fields that every message has.
	hLastMandatory = hCSeq
)

// headerNames are the names as they are written, in the spelling of the RFC that defines each.
var headerNames = [headerCount]string{
	hVia:                     "Via",
	hFrom:                    "From",
	hTo:                      "To",
	hCallID:                  "Call-ID",
	hCSeq:                    "CSeq",
	hContact:                 "Contact",
	hMaxForwards:             "Max-Forwards",
	hContentLength:           "Content-Length",
	hContentType:             "Content-Type",
	hContentEncoding:         "Content-Encoding",
	hContentDisposition:      "Content-Disposition",
	hContentID:               "Content-ID",
	hContentLanguage:         "Content-Language",
	hRoute:                   "Route",
	hRecordRoute:             "Record-Route",
	hPath:                    "Path",
	hServiceRoute:            "Service-Route",
	hExpires:                 "Expires",
	hMinExpires:              "Min-Expires",
	hAllow:                   "Allow",
	hAllowEvents:             "Allow-Events",
	hSupported:               "Supported",
	hRequire:                 "Require",
	hProxyRequire:            "Proxy-Require",
	hUnsupported:             "Unsupported",
	hAccept:                  "Accept",
	hAcceptEncoding:          "Accept-Encoding",
	hAcceptLanguage:          "Accept-Language",
	hAcceptContact:           "Accept-Contact",
	hRejectContact:           "Reject-Contact",
	hRequestDisposition:      "Request-Disposition",
	hAuthorization:           "Authorization",
	hProxyAuthorization:      "Proxy-Authorization",
	hWWWAuthenticate:         "WWW-Authenticate",
	hProxyAuthenticate:       "Proxy-Authenticate",
	hAuthenticationInfo:      "Authentication-Info",
	hProxyAuthenticationInfo: "Proxy-Authentication-Info",
	hUserAgent:               "User-Agent",
	hServer:                  "Server",
	hDate:                    "Date",
	hTimestamp:               "Timestamp",
	hSubject:                 "Subject",
	hOrganization:            "Organization",
	hPriority:                "Priority",
	hRetryAfter:              "Retry-After",
	hWarning:                 "Warning",
	hReason:                  "Reason",
	hEvent:                   "Event",
	hSubscriptionState:       "Subscription-State",
	hSessionExpires:          "Session-Expires",
	hMinSE:                   "Min-SE",
	hRSeq:                    "RSeq",
	hRAck:                    "RAck",
	hReferTo:                 "Refer-To",
	hReferSub:                "Refer-Sub",
	hReferredBy:              "Referred-By",
	hReplaces:                "Replaces",
	hJoin:                    "Join",
	hTargetDialog:            "Target-Dialog",
	hPrivacy:                 "Privacy",
	hPAssertedIdentity:       "P-Asserted-Identity",
	hPPreferredIdentity:      "P-Preferred-Identity",
	hPAccessNetworkInfo:      "P-Access-Network-Info",
	hPAssociatedURI:          "P-Associated-URI",
	hPCalledPartyID:          "P-Called-Party-ID",
	hPChargingVector:         "P-Charging-Vector",
	hPEarlyMedia:             "P-Early-Media",
	hRemotePartyID:           "Remote-Party-ID",
	hDiversion:               "Diversion",
	hHistoryInfo:             "History-Info",
	hIdentity:                "Identity",
	hFlowTimer:               "Flow-Timer",
	hSIPETag:                 "SIP-ETag",
	hSIPIfMatch:              "SIP-If-Match",
	hInfoPackage:             "Info-Package",
	hRecvInfo:                "Recv-Info",
	hInReplyTo:               "In-Reply-To",
	hReplyTo:                 "Reply-To",
	hAlertInfo:               "Alert-Info",
	hCallInfo:                "Call-Info",
	hErrorInfo:               "Error-Info",
	hMIMEVersion:             "MIME-Version",
	hFeatureCaps:             "Feature-Caps",
	hGeolocation:             "Geolocation",
	hMaxBreadth:              "Max-Breadth",
	hSecurityClient:          "Security-Client",
	hSecurityServer:          "Security-Server",
	hSecurityVerify:          "Security-Verify",
	hAnswerMode:              "Answer-Mode",
	hSessionID:               "Session-ID",
	hUsertoUser:              "User-to-User",
	hSuppressIfMatch:         "Suppress-If-Match",
	hIdentityInfo:            "Identity-Info",
}

// compactForm knows the one-letter names of the IANA registry.
func compactForm(c byte) headerID {
	switch c | 0x20 {
	case 'a':
		return hAcceptContact
	case 'b':
		return hReferredBy
	case 'c':
		return hContentType
	case 'd':
		return hRequestDisposition
	case 'e':
		return hContentEncoding
	case 'f':
		return hFrom
	case 'i':
		return hCallID
	case 'j':
		return hRejectContact
	case 'k':
		return hSupported
	case 'l':
		return hContentLength
	case 'm':
		return hContact
	case 'o':
		return hEvent
	case 'r':
		return hReferTo
	case 's':
		return hSubject
	case 't':
		return hTo
	case 'u':
		return hAllowEvents
	case 'v':
		return hVia
	case 'x':
		return hSessionExpires
	case 'y':
		return hIdentity
	case 'n':
		return hIdentityInfo
	}
	return hUnknown
}

// headerIndex finds known names by a hash of length and outer letters; a few share a slot.
var headerIndex = makeHeaderIndex()

func makeHeaderIndex() (index [256][3]headerID) {
	for id := hUnknown + 1; id < headerCount; id++ {
		slot := &index[headerHash(headerNames[id])]
		n := 0
		for slot[n] != hUnknown {
			n++
		}
		slot[n] = id
	}
	return index
}

func headerHash(name string) uint8 {
	n := len(name)
	return uint8(n*37) ^ (name[0]|0x20)*7 ^ (name[n-1]|0x20)*3 ^ (name[n/2]|0x20)*29
}

// identify is the id of a name, long or compact and in any case, and its spelling: the registered one of a
// known name, the given one of any other.
func identify(name string) (headerID, string) {
	if len(name) < 2 {
		if name != "" {
			if id := compactForm(name[0]); id != hUnknown {
				return id, headerNames[id]
			}
		}
		return hUnknown, name
	}
	slot := &headerIndex[headerHash(name)]
	for i := 0; i < len(slot) && slot[i] != hUnknown; i++ {
		if known := headerNames[slot[i]]; known == name || equalFold(known, name) {
			return slot[i], known
		}
	}
	return hUnknown, name
}

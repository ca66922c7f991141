package rtc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/webrtc/v4"

	"github.com/gosipua/sipua/session"
)

const defaultGatherTimeout = time.Second

// New returns a factory that makes the media of calls with o. It is a
// [*Factory]; mistakes in o are reported by its NewMedia.
func New(o Options) session.MediaFactory {
	return &Factory{func() Options { return o }}
}

// Factory is a [session.MediaFactory] over pion/webrtc. It may serve any
// number of calls at once.
type Factory struct {
	options func() Options // so that printing a Factory shows no credentials
}

// WithDefaults returns a factory in which each option that f leaves zero has
// d's value. A user agent calls it with the ICE servers of its configuration.
func (f *Factory) WithDefaults(d Options) *Factory {
	o := f.options().withDefaults(d)
	return &Factory{func() Options { return o }}
}

// NewMedia makes the media of one call leg, with a PeerConnection of its own.
func (f *Factory) NewMedia(mo session.MediaOptions) (session.Media, error) {
	o, err := f.options().complete()
	if err != nil {
		return nil, err
	}
	pion := o.configuration()
	o.TURNServers = nil
	m := &Media{
		options:  o,
		pion:     func() webrtc.Configuration { return pion },
		events:   mo.Events,
		payloads: payloads{},
		wants:    o.wants(),
		lastMid:  -1,
	}
	m.digits.report = mo.Events.DTMF
	if p, ok := mo.Previous.(*Media); ok && p != nil {
		m.follow(p)
		m.patient = true
	} else if b, ok := mo.Beside.(*Media); ok && b != nil {
		m.call = b.call
	} else {
		m.call = newCall()
	}
	if m.peer, err = newPeer(m); err != nil {
		return nil, err
	}
	return m, nil
}

// complete fills in the defaults and checks what was given.
func (o Options) complete() (Options, error) {
	if o.GatherTimeout == 0 {
		o.GatherTimeout = defaultGatherTimeout
	}
	if o.GatherTimeout < 0 {
		return o, errors.New("rtc: GatherTimeout is negative")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if err := checkCodecs(o.Codecs); err != nil {
		return o, err
	}
	if o.Direction > Inactive {
		return o, fmt.Errorf("rtc: unknown Direction %d", o.Direction)
	}
	kinds := slices.Clone(o.Kinds)
	if len(kinds) == 0 {
		kinds = []Kind{Audio}
	}
	sent, err := kindsOf(o.Tracks)
	if err != nil {
		return o, fmt.Errorf("rtc: Tracks: %w", err)
	}
	if _, err := kindsOf(o.HoldTracks); err != nil {
		return o, fmt.Errorf("rtc: HoldTracks: %w", err)
	}
	kinds = append(kinds, sent...)
	slices.Sort(kinds)
	o.Kinds = slices.Compact(kinds)
	for _, k := range o.Kinds {
		if !k.valid() {
			return o, fmt.Errorf("rtc: unknown Kind %d", k)
		}
		if len(ours(k, o.Codecs)) == 0 {
			return o, fmt.Errorf("rtc: Codecs name none for %s", k)
		}
	}
	return o, nil
}

// api builds what a PeerConnection is made from. It can carry every kind in
// every codec that we have: a call may come to need them.
func (o *Options) api(patient bool) (*webrtc.API, error) {
	engine := &webrtc.MediaEngine{}
	registry := &interceptor.Registry{}
	for _, k := range allKinds {
		for _, c := range known(k) {
			if err := engine.RegisterCodec(c.pion(k), k.pion()); err != nil {
				return nil, err
			}
		}
	}
	if err := addNack(registry); err != nil {
		return nil, err
	}
	receiver, err := report.NewReceiverInterceptor()
	if err != nil {
		return nil, err
	}
	sender, err := report.NewSenderInterceptor()
	if err != nil {
		return nil, err
	}
	registry.Add(receiver)
	registry.Add(sender)
	for _, f := range o.Interceptors {
		registry.Add(f)
	}
	return webrtc.NewAPI(webrtc.WithMediaEngine(engine), webrtc.WithInterceptorRegistry(registry),
		webrtc.WithSettingEngine(o.settings(patient))), nil
}

func addNack(r *interceptor.Registry) error {
	generator, err := nack.NewGeneratorInterceptor()
	if err != nil {
		return err
	}
	responder, err := nack.NewResponderInterceptor()
	if err != nil {
		return err
	}
	r.Add(responder)
	r.Add(onDemand{generator})
	return nil
}

func (o *Options) settings(patient bool) webrtc.SettingEngine {
	s := webrtc.SettingEngine{LoggerFactory: loggers{o.Logger}}
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6})
	s.SetIncludeLoopbackCandidate(o.Loopback || noNetwork())
	// A stream counts from its first packet and whatever its SSRC: gateways
	// change it in the middle of a call without a word (see receive.go).
	s.SetHandleUndeclaredSSRCWithoutAnswer(true)
	s.SetFireOnTrackBeforeFirstRTP(true)
	// A far end that is replaced closes its DTLS before the re-INVITE that
	// names the new one arrives; ICE consent says when a path is gone.
	s.DisableCloseByDTLS(true)
	// Each look that hasten causes repeats the checks, of which a pair has so many.
	s.SetICEMaxBindingRequests(uint16(7 + len(hastened)))
	if patient {
		s.SetICEMaxBindingRequests(150) // 200 ms apart: as long as ICE looks for a path
	}
	if o.SettingEngine != nil {
		o.SettingEngine(&s)
	}
	return s
}

// noNetwork reports whether the machine has no address but loopback ones.
func noNetwork() bool {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() {
			return false
		}
	}
	return true
}

func (o *Options) configuration() webrtc.Configuration {
	c := webrtc.Configuration{
		BundlePolicy: webrtc.BundlePolicyMaxBundle,
		Certificates: o.Certificates,
	}
	if o.RelayOnly {
		c.ICETransportPolicy = webrtc.ICETransportPolicyRelay
	}
	if len(o.STUNServers) > 0 {
		c.ICEServers = append(c.ICEServers, webrtc.ICEServer{URLs: o.STUNServers})
	}
	for _, t := range o.TURNServers {
		c.ICEServers = append(c.ICEServers, webrtc.ICEServer{
			URLs: t.URLs, Username: t.Username, Credential: t.Credential,
		})
	}
	return c
}

func (c Codec) pion(k Kind) webrtc.RTPCodecParameters {
	p := webrtc.RTPCodecParameters{PayloadType: webrtc.PayloadType(c.PayloadType)}
	p.MimeType, p.ClockRate, p.SDPFmtpLine = c.mimeType(k), c.ClockRate, c.Fmtp
	if k == Video {
		p.RTCPFeedback = []webrtc.RTCPFeedback{{Type: "nack"}, {Type: "nack", Parameter: "pli"}, {Type: "ccm", Parameter: "fir"}}
	} else if c.Channels > 1 {
		p.Channels = c.Channels
	}
	return p
}

func marshalURLs(urls []string) ([]byte, error) {
	return json.Marshal(struct {
		URLs []string `json:"urls"`
	}{urls})
}

// wait waits for done, for at most d, and reports whether it came. A ctx that
// ends is an error.
func wait(ctx context.Context, done <-chan struct{}, d time.Duration) (bool, error) {
	select {
	case <-done:
		return true, nil
	default:
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
		return true, nil
	case <-timer.C:
		return false, nil
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
}

package rtc

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/gosipua/sipua/session"
)

var update = flag.Bool("update", false, "rewrite the answers in testdata")

// TestOffers answers offers as other stacks send them. chromium*.sdp are a
// browser's own; the rest are written in the shape that each is known for.
func TestOffers(t *testing.T) {
	options := map[string][]Options{
		"chromium-video": {{}, {Kinds: []Kind{Audio, Video}}},
		"conference":     {{}, {Kinds: []Kind{Audio, Video}}},
		"freeswitch":     {{}, {Codecs: []string{"PCMA", "opus"}}, {Direction: SendOnly}},
	}
	files, err := filepath.Glob("testdata/offers/*.sdp")
	if err != nil || len(files) < 15 {
		t.Fatalf("found %d offers, %v", len(files), err)
	}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".sdp")
		variants := options[name]
		if variants == nil {
			variants = []Options{{}}
		}
		for i, o := range variants {
			golden := strings.TrimSuffix(f, ".sdp") + ".answer"
			if i > 0 {
				golden = fmt.Sprintf("%s%d", golden, i+1)
			}
			t.Run(filepath.Base(golden), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { answerGolden(t, f, golden, o) })
			})
		}
	}
}

func answerGolden(t *testing.T, file, golden string, o Options) {
	n := newNetwork(t)
	v := n.host("10.0.0.1")
	n.start()
	e := newEnd(t, v, o)
	defer e.close()
	offer := ok[[]byte](t)(os.ReadFile(file))
	offer = bytes.ReplaceAll(offer, []byte("\n"), []byte("\r\n"))
	answer, state, err := e.media.Answer(context.Background(), session.Description{Body: offer}, session.OfferOptions{})
	got := ""
	var why *UnacceptableError
	switch {
	case errors.As(err, &why):
		code, text := why.Warning()
		got = fmt.Sprintf("488\nWarning: %d %s\n", code, text)
	case err != nil:
		t.Fatal(err)
	default:
		got = settle(string(answer.Body)) + fmt.Sprintf("%+v\n", state)
	}
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want := string(ok[[]byte](t)(os.ReadFile(golden)))
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// settle puts names in place of what is random in a description of ours.
func settle(body string) string {
	for _, r := range [...][2]string{
		{`\r\n`, "\n"},
		{`(?m)^(m=\w+) [1-9]\d*`, "$1 PORT"},
		{`(?m)^(a=candidate:)\d+ 1 udp \d+ (\S+) \d+`, "${1}FOUNDATION 1 udp PRIORITY $2 PORT"},
		{`(?m)^(a=ice-ufrag):.*`, "$1:UFRAG"},
		{`(?m)^(a=ice-pwd):.*`, "$1:PWD"},
		{`(?m)^(a=fingerprint:sha-256) ([0-9A-F]{2}:){31}[0-9A-F]{2}$`, "$1 FINGERPRINT"},
		{`(?m)^(a=tls-id):.*`, "$1:TLSID"},
		{`(?m)^(a=msid):\S+ \S+$`, "$1:STREAM TRACK"},
		{`(?m)^(a=ssrc):\d+ cname:\S+$`, "$1:SSRC cname:CNAME"},
	} {
		body = regexp.MustCompile(r[0]).ReplaceAllString(body, r[1])
	}
	return body
}

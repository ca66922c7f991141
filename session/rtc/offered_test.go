package rtc

import (
	"maps"
	"testing"

	"github.com/gosipua/sipua/session"
)

func TestOffered(t *testing.T) {
	const head = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
	for sdp, want := range map[string]map[Kind]Direction{
		head: {},
		head + "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\nm=video 0 UDP/TLS/RTP/SAVPF 96\r\n":                   {Audio: SendRecv},
		head + "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\nm=video 0 UDP/TLS/RTP/SAVPF 96\r\na=bundle-only\r\n":  {Audio: SendRecv, Video: SendRecv},
		head + "a=sendonly\r\nm=audio 9 RTP/SAVPF 0\r\nm=video 9 RTP/SAVPF 96\r\na=recvonly\r\n":       {Audio: SendOnly, Video: RecvOnly},
		head + "m=image 9 udptl t38\r\nm=video 0 RTP/SAVPF 96\r\nm=video 9 RTP/SAVPF 96\r\na=inactive": {Video: Inactive},
	} {
		got, err := Offered(session.Description{ContentType: "application/sdp", Body: []byte(sdp)})
		if err != nil || !maps.Equal(got, want) {
			t.Errorf("%q: %v, %v, want %v", sdp, got, err, want)
		}
	}
	if _, err := Offered(session.Description{Body: []byte("v=0\r\nm=nonsense\r\n")}); err == nil {
		t.Error("nonsense was read")
	}
}

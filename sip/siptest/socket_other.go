//go:build !unix

package siptest

import "net"

// socket leaves all writing to flush where a write cannot be told not to wait.
type socket struct{}

func (*socket) tryWrite(*net.TCPConn, []byte) (int, error) { return 0, nil }

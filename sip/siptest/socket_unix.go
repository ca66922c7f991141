//go:build unix

package siptest

import (
	"net"
	"syscall"
)

// socket writes to a TCP connection what finds room in its buffer. A deadline
// would do it too, at the price of a timer for every write.
type socket struct {
	raw   syscall.RawConn
	write func(fd uintptr) bool // made once: it would escape each time
	data  []byte
	n     int
	err   error
}

func (s *socket) tryWrite(nc *net.TCPConn, p []byte) (int, error) {
	if s.raw == nil {
		raw, err := nc.SyscallConn()
		if err != nil {
			return 0, err
		}
		s.raw, s.write = raw, s.once
	}
	s.data, s.n, s.err = p, 0, nil
	err := s.raw.Write(s.write)
	s.data = nil
	if err == nil {
		err = s.err
	}
	return s.n, err
}

// once always reports that it is done, so the runtime does not wait for room.
func (s *socket) once(fd uintptr) bool {
	for len(s.data) > 0 {
		n, err := syscall.Write(int(fd), s.data)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return true
		case err != nil:
			s.err = err
			return true
		}
		s.n += n
		s.data = s.data[n:]
	}
	return true
}

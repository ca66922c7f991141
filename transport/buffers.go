package transport

import "sync"

// buffer is a byte slice on loan from a pool.
type buffer struct{ b []byte }

// buffers are shared by all flows, because an idle one keeps none.
var buffers = sync.Pool{New: func() any { return new(buffer) }}

// keepBuffer is the largest capacity worth keeping for another use.
const keepBuffer = 256 << 10

func takeBuffer() *buffer { return buffers.Get().(*buffer) }

func (b *buffer) release() {
	if cap(b.b) > keepBuffer {
		return
	}
	b.b = b.b[:0]
	buffers.Put(b)
}

// writeBuffers holds one *sync.Pool for each size of gorilla's write buffer. A
// buffer has room for the longest message, so that each leaves as one frame, and
// that is too much to keep for every flow.
var writeBuffers sync.Map

func writeBufferPool(size int) *sync.Pool {
	if p, ok := writeBuffers.Load(size); ok {
		return p.(*sync.Pool)
	}
	p, _ := writeBuffers.LoadOrStore(size, new(sync.Pool))
	return p.(*sync.Pool)
}

package acrsuite

import (
	"errors"
	"sync"
)

// Form is a way to download a blob.
type Form struct {
	Name   string
	Reader bool // gives bytes as they come, before they can be verified
	Ranges bool // several at once
	File   bool
}

// The ways to download a blob, and sets of them.
var (
	ByRead        = Form{Name: "GetBlob, Read", Reader: true}
	ByWriteTo     = Form{Name: "GetBlob, WriteTo", Reader: true}
	ToWriter      = Form{Name: "DownloadBlob in one stream"}
	ToWriterInN   = Form{Name: "DownloadBlob in ranges", Ranges: true}
	ToFile        = Form{Name: "DownloadBlobFile in one stream", File: true}
	ToFileInN     = Form{Name: "DownloadBlobFile in ranges", File: true, Ranges: true}
	EveryForm     = []Form{ByRead, ByWriteTo, ToWriterInN, ToWriter, ToFile, ToFileInN} // either half has one of each kind
	ReaderForms   = []Form{ByRead, ByWriteTo}
	CheckedForms  = []Form{ToWriterInN, ToWriter, ToFile, ToFileInN} // give nothing out before it is verified, and so may begin again
	loopbackForms = []Form{ByRead, ToWriterInN, ToFileInN}           // one of each kind
	RangeForms    = []Form{ToWriterInN, ToFileInN}
)

// Sink is an io.WriterAt in memory that can be full. It holds what comes against what is wanted.
type Sink struct {
	mu     sync.Mutex
	B      []byte
	High   int64 // end of what was written
	Writes int
	Full   int64                // writes that reach behind it fail; 0: none
	Hook   func(off, end int64) // nil: none; called without the lock
}

// ErrFull is what a Sink that is full fails with.
var ErrFull = errors.New("no space left on the device of the test")

// WriteAt implements io.WriterAt.
func (s *Sink) WriteAt(p []byte, off int64) (int, error) {
	end := off + int64(len(p))
	if s.Hook != nil {
		s.Hook(off, end)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Writes++
	s.High = max(s.High, end)
	if s.Full > 0 && end > s.Full {
		return 0, ErrFull
	}
	if n := int(end); n > len(s.B) {
		s.B = append(s.B, make([]byte, n-len(s.B))...)
	}
	return copy(s.B[off:], p), nil
}

// Write implements io.Writer for WriteTo.
func (s *Sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	off := int64(len(s.B))
	s.mu.Unlock()
	return s.WriteAt(p, off)
}

// Locked lets one caller in at a time.
func Locked(f func(off, end int64)) func(off, end int64) {
	var mu sync.Mutex
	return func(off, end int64) {
		mu.Lock()
		defer mu.Unlock()
		f(off, end)
	}
}

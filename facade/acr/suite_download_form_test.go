package acr_test

import (
	"errors"
	"sync"
)

// form is a way to download a blob.
type form struct {
	name   string
	reader bool // gives bytes as they come, before they can be verified
	ranges bool // several at once
	file   bool
}

var (
	byRead       = form{name: "GetBlob, Read", reader: true}
	byWriteTo    = form{name: "GetBlob, WriteTo", reader: true}
	toWriter     = form{name: "DownloadBlob in one stream"}
	toWriterInN  = form{name: "DownloadBlob in ranges", ranges: true}
	toFile       = form{name: "DownloadBlobFile in one stream", file: true}
	toFileInN    = form{name: "DownloadBlobFile in ranges", file: true, ranges: true}
	everyForm    = []form{byRead, byWriteTo, toWriter, toWriterInN, toFile, toFileInN}
	readerForms  = []form{byRead, byWriteTo}
	checkedForms = []form{toWriter, toWriterInN, toFile, toFileInN} // give nothing out before it is verified, and so may begin again
	rangeForms   = []form{toWriterInN, toFileInN}
)

// sink is an io.WriterAt in memory that can be full. It holds what comes against what is wanted.
type sink struct {
	mu     sync.Mutex
	b      []byte
	high   int64 // end of what was written
	writes int
	full   int64                // writes that reach behind it fail; 0: none
	hook   func(off, end int64) // nil: none; called without the lock
}

var errFull = errors.New("no space left on the device of the test")

// WriteAt implements io.WriterAt.
func (s *sink) WriteAt(p []byte, off int64) (int, error) {
	end := off + int64(len(p))
	if s.hook != nil {
		s.hook(off, end)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	s.high = max(s.high, end)
	if s.full > 0 && end > s.full {
		return 0, errFull
	}
	if n := int(end); n > len(s.b) {
		s.b = append(s.b, make([]byte, n-len(s.b))...)
	}
	return copy(s.b[off:], p), nil
}

// Write implements io.Writer for WriteTo.
func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	off := int64(len(s.b))
	s.mu.Unlock()
	return s.WriteAt(p, off)
}

// locked lets one caller in at a time.
func locked(f func(off, end int64)) func(off, end int64) {
	var mu sync.Mutex
	return func(off, end int64) {
		mu.Lock()
		defer mu.Unlock()
		f(off, end)
	}
}

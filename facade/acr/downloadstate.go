package acr

import (
	"encoding/json"
	"errors"
	"io"
	"os"

	"github.com/acrkit/acrkit/facade/internal/transfer"
)

// load reads how far an earlier call has got; what is wrong with that counts as nothing.
func (p *partial) load() {
	f, err := openState(p.record)
	if err != nil {
		return
	}
	defer func() { _ = f.Close() }() // it was only read
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return
	}
	b, err := io.ReadAll(io.LimitReader(f, 4<<10))
	if err != nil {
		return
	}
	var s partialState
	if json.Unmarshal(b, &s) != nil || s.Digest != p.state.Digest || s.Offset < 0 || s.Size != transfer.Unknown && s.Size < s.Offset {
		return
	}
	info, err := p.Stat()
	if err != nil || info.Size() < s.Offset {
		return
	}
	s.Size = transfer.Unknown
	p.state, p.saved = s, s.Offset
}

// nextState is behind the name of the state while it is being written.
const nextState = ".new"

// forget removes what speaks of a file that is no more.
func (p *partial) forget() {
	if p.record != "" {
		_ = os.Remove(p.record)
		_ = os.Remove(p.record + nextState) // of a killed process
	}
}

// save writes down how far the file is written. Failing costs the next call some bytes, no more.
func (p *partial) save() {
	p.saved = p.state.Offset
	if p.record == "" {
		return
	}
	b, err := json.Marshal(p.state)
	if err != nil {
		return
	}
	next := p.record + nextState
	_ = os.Remove(next) // of a killed process
	// A link that somebody put there is not followed.
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return
	}
	if _, err = f.Write(b); errors.Join(err, f.Close()) == nil {
		_ = os.Rename(next, p.record)
	}
}

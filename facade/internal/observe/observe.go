// Package observe counts what the calls of a client cost, and reports what delays them. The counts and the logger travel
// in the context, so that the loops, the policies and the transport need to know nothing of each other.
package observe

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// Counts is what some calls have cost.
type Counts struct {
	Requests, Retries, BytesSent, BytesReceived, Tokens int64
	Waited                                              time.Duration
}

// Ledger adds up counts. A nil Ledger counts nothing. It is safe for concurrent use.
type Ledger struct {
	outer *Ledger // counts the same
	n     [6]atomic.Int64
}

// Kind is what is counted.
type Kind int

// The kinds.
const (
	Requests Kind = iota
	Retries
	BytesSent
	BytesReceived
	Tokens
	waited
)

// Add counts n more.
func (l *Ledger) Add(k Kind, n int64) {
	for ; l != nil; l = l.outer {
		l.n[k].Add(n)
	}
}

// Counts returns the counts so far.
func (l *Ledger) Counts() Counts {
	return Counts{
		Requests: l.n[Requests].Load(), Retries: l.n[Retries].Load(), BytesSent: l.n[BytesSent].Load(),
		BytesReceived: l.n[BytesReceived].Load(), Tokens: l.n[Tokens].Load(), Waited: time.Duration(l.n[waited].Load()),
	}
}

// scope is what a context holds.
type scope struct {
	ledger *Ledger
	logger *slog.Logger
}

type key struct{}

func of(ctx context.Context) scope {
	s, _ := ctx.Value(key{}).(scope)
	return s
}

// WithLedger returns a context whose requests are counted by the returned ledger, and by those that ctx has.
func WithLedger(ctx context.Context) (context.Context, *Ledger) {
	s := of(ctx)
	s.ledger = &Ledger{outer: s.ledger}
	return context.WithValue(ctx, key{}, s), s.ledger
}

// WithLogger returns a context whose delays are reported to the logger. If it is nil, or ctx has it, that is ctx.
func WithLogger(ctx context.Context, logger *slog.Logger) context.Context {
	s := of(ctx)
	if logger == s.logger {
		return ctx
	}
	s.logger = logger
	return context.WithValue(ctx, key{}, s)
}

// Carry returns a context to with the ledger and the logger of from.
func Carry(to, from context.Context) context.Context { return context.WithValue(to, key{}, of(from)) }

// LedgerOf returns the ledger of a context, nil if it has none.
func LedgerOf(ctx context.Context) *Ledger { return of(ctx).ledger }

// Waited counts time spent waiting.
func Waited(ctx context.Context, d time.Duration) { of(ctx).ledger.Add(waited, int64(d)) }

// Repeated counts a request, or a part of a transfer, that is sent again now. A pause before it may have been the end of it.
func Repeated(ctx context.Context) { of(ctx).ledger.Add(Retries, 1) }

// Retrying writes a log record that a request, or a part of a transfer, will be repeated after the pause. reason is a text that may
// be shown.
func Retrying(ctx context.Context, reason string, pause time.Duration, attrs ...slog.Attr) {
	Info(ctx, "retrying", append(attrs, slog.String("reason", reason), slog.Duration("pause", pause))...)
}

// Again reports and counts a request that is repeated at once.
func Again(ctx context.Context, reason string) {
	Retrying(ctx, reason, 0)
	Repeated(ctx)
}

// Info writes a log record.
func Info(ctx context.Context, message string, attrs ...slog.Attr) {
	if logger := of(ctx).logger; logger != nil {
		logger.LogAttrs(ctx, slog.LevelInfo, message, attrs...)
	}
}

// Request is one sending of a request, for metrics.
type Request struct {
	Operation     string
	Method        string
	Host          string
	Status        int
	Try           int
	Waited        time.Duration
	Duration      time.Duration
	BytesSent     int64
	BytesReceived int64
}

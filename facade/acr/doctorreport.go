package acr

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// DoctorStatus is the result of a step of [Client.Doctor].
type DoctorStatus string

// The results of a step.
const (
	DoctorOK      DoctorStatus = "ok"      // as it should be
	DoctorWarn    DoctorStatus = "warn"    // not a failure, but possibly a problem; see Seen and Advice
	DoctorFailed  DoctorStatus = "failed"  // does not work
	DoctorSkipped DoctorStatus = "skipped" // not checked; Seen says why
)

// The steps of Doctor, in order. A step is skipped if a step it depends on failed.
const (
	DoctorName       = "name"       // the registry's name can be resolved
	DoctorConnection = "connection" // its address (or the proxy) accepts a connection
	DoctorTLS        = "tls"        // its certificate is trusted, valid for the name, and does not expire soon
	DoctorClock      = "clock"      // the local clock is within five minutes of the registry's
	DoctorChallenge  = "challenge"  // it returns an ACR authentication challenge
	DoctorCredential = "credential" // the credential returns an Entra token
	DoctorExchange   = "exchange"   // the registry exchanges it for a refresh token
	DoctorToken      = "token"      // the registry issues an access token and accepts it
	DoctorCatalog    = "catalog"    // the identity may list repositories
	DoctorPull       = "pull"       // the identity may pull from DoctorOptions.Repository
	DoctorPush       = "push"       // the identity may push to DoctorOptions.Repository
	DoctorAnonymous  = "anonymous"  // whether anonymous callers may pull; without DoctorOptions.Repository, whether they may list repositories
	DoctorStorage    = "storage"    // the content of DoctorOptions.Reference can be read from storage
)

// DoctorReport is the result of [Client.Doctor]. It contains no token, no password, no signed URL
// and no control character. You can show it to anyone who may know the registry's name and
// addresses and the ids of the identity.
type DoctorReport struct {
	Registry   string       // URL of the registry
	Credential string       // how the client signs in: "entra", "password", "refresh token", "anonymous"
	Time       time.Time    // when Doctor started, by the local clock
	Client     string       // versions of this module and of Go, operating system
	Steps      []DoctorStep // all steps, including skipped ones
}

// DoctorStep is a step of a [DoctorReport].
type DoctorStep struct {
	Name          string        // one of the Doctor constants
	Status        DoctorStatus  // the result
	Duration      time.Duration // how long it took; 0 if it was skipped
	Seen          string        // what was found, or why the step was skipped; one line
	Advice        string        // what to do; empty if nothing is to be done or it is not known
	CorrelationID string        // X-Ms-Correlation-Request-Id of the response, which Azure support asks for
	Err           error         // the cause; nil unless Status is DoctorFailed or DoctorWarn

	barredBy string // the failed step because of which dependent steps are skipped: this one, or one it depends on
	timed    bool   // Duration was measured within the step
}

// Step returns the step with the name, or the zero value if there is none.
func (r *DoctorReport) Step(name string) DoctorStep {
	for _, s := range r.Steps {
		if s.Name == name {
			return s
		}
	}
	return DoctorStep{}
}

// Status returns DoctorFailed if a step failed, otherwise DoctorWarn if a step warns, otherwise
// DoctorOK.
func (r *DoctorReport) Status() DoctorStatus {
	status := DoctorOK
	for _, s := range r.Steps {
		switch s.Status {
		case DoctorFailed:
			return DoctorFailed
		case DoctorWarn:
			status = DoctorWarn
		default:
		}
	}
	return status
}

// Err returns the first failed step as an error, or nil if none failed. It matches the cause, such
// as [ErrFirewall] or [ErrNoRole].
func (r *DoctorReport) Err() error {
	for _, s := range r.Steps {
		if s.Status == DoctorFailed {
			return failed("Doctor", fmt.Errorf("%s: %w", s.Name, s.Err))
		}
	}
	return nil
}

// String returns the report as text, for a ticket.
func (r *DoctorReport) String() string {
	var b strings.Builder
	b.WriteString("registry    " + r.Registry + "\ncredential  " + r.Credential + "\ntime        " + r.Time.UTC().Format(time.RFC3339) +
		"\nclient      " + r.Client + "\nresult      " + string(r.Status()) + "\n\n")
	for _, s := range r.Steps {
		took := ""
		if s.Duration > 0 {
			took = shortDuration(s.Duration)
		}
		fmt.Fprintf(&b, "%-8s %-11s %7s  %s\n", s.Status, s.Name, took, s.Seen)
		for _, line := range [][2]string{{"do: ", s.Advice}, {"correlation id: ", s.CorrelationID}} {
			// The id of an answer that was as it should be is of no use to anyone who reads the
			// text.
			if line[1] != "" && s.Status != DoctorOK {
				fmt.Fprintf(&b, "%-30s%s%s\n", "", line[0], line[1])
			}
		}
	}
	return b.String()
}

// WriteTo writes String to w.
func (r *DoctorReport) WriteTo(w io.Writer) (int64, error) {
	if isNil(w) {
		return 0, badArgument("w", "", "it is nil")
	}
	n, err := io.WriteString(w, r.String())
	return int64(n), err
}

// MarshalJSON encodes the report as
// {"registry","credential","time","client","result","steps":[{"name","status","duration_ms","seen",
// "advice","correlation_id"}]}. Empty members of a step are left out.
func (r *DoctorReport) MarshalJSON() ([]byte, error) {
	type step struct {
		Name          string       `json:"name"`
		Status        DoctorStatus `json:"status"`
		Duration      float64      `json:"duration_ms"`
		Seen          string       `json:"seen,omitempty"`
		Advice        string       `json:"advice,omitempty"`
		CorrelationID string       `json:"correlation_id,omitempty"`
	}
	out := struct {
		Registry   string       `json:"registry"`
		Credential string       `json:"credential"`
		Time       time.Time    `json:"time"`
		Client     string       `json:"client"`
		Result     DoctorStatus `json:"result"`
		Steps      []step       `json:"steps"`
	}{r.Registry, r.Credential, r.Time.UTC(), r.Client, r.Status(), []step{}}
	for _, s := range r.Steps {
		out.Steps = append(out.Steps, step{s.Name, s.Status, float64(s.Duration.Microseconds()) / 1000, s.Seen, s.Advice, s.CorrelationID})
	}
	return json.Marshal(out)
}

// shortDuration returns a duration for a column of the report.
func shortDuration(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return "<1ms"
	case d < 10*time.Second:
		return d.Round(time.Millisecond).String()
	default:
		return d.Round(time.Second).String()
	}
}

package acr

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// DoctorStatus is how a step of Doctor ended.
type DoctorStatus string

// The ends of a step.
const (
	DoctorOK      DoctorStatus = "ok"      // as it should be
	DoctorWarn    DoctorStatus = "warn"    // works, or may be meant so, but look at it
	DoctorFailed  DoctorStatus = "failed"  // does not work
	DoctorSkipped DoctorStatus = "skipped" // not looked at: Seen says why
)

// The steps of Doctor, in their order. Each is left out once one that it stands on has failed.
const (
	DoctorName       = "name"       // the registry's name is resolved
	DoctorConnection = "connection" // its address, or the proxy's, takes the connection
	DoctorTLS        = "tls"        // its certificate is trusted, of this name, and not about to end
	DoctorClock      = "clock"      // the local clock agrees with the registry's, to five minutes
	DoctorChallenge  = "challenge"  // it asks who is there as an Azure Container Registry does
	DoctorCredential = "credential" // the credential gives an Entra token
	DoctorExchange   = "exchange"   // the registry takes that for a refresh token
	DoctorToken      = "token"      // it gives an access token, and accepts it
	DoctorCatalog    = "catalog"    // the identity may list the repositories
	DoctorPull       = "pull"       // it may pull from DoctorOptions.Repository
	DoctorPush       = "push"       // it may push to it
	DoctorAnonymous  = "anonymous"  // whether callers without an identity may pull
	DoctorStorage    = "storage"    // the bytes of DoctorOptions.Reference come, from wherever the registry keeps them
)

// DoctorReport is what Doctor found. It holds no token, no password and no signed URL, and its text no control character: it can be
// shown to anyone who may know the registry's name, addresses and the ids of the identity.
type DoctorReport struct {
	Registry   string       // endpoint
	Credential string       // how the client signs in: "entra", "password", "refresh token", "anonymous"
	Time       time.Time    // when it began, by the local clock
	Client     string       // versions of this module and of Go, operating system
	Steps      []DoctorStep // every step, those not taken too
}

// DoctorStep is one step of a report.
type DoctorStep struct {
	Name          string        // one of the Doctor constants
	Status        DoctorStatus  // how it ended
	Duration      time.Duration // how long it took; 0 where it was not taken
	Seen          string        // what was seen, or why it was not looked at; one line
	Advice        string        // what to do; empty where nothing is to be done, or nobody knows
	CorrelationID string        // X-Ms-Correlation-Request-Id of the answer: what Azure support asks for
	Err           error         // why it failed, for errors.Is and errors.As; nil unless Status is DoctorFailed or DoctorWarn

	barredBy string // the failed step for which those that stand on this one cannot be taken: it, or one that it stands on
	timed    bool   // Duration is not that of the whole step
}

// Step returns the step of the name, or the zero value where there is none.
func (r *DoctorReport) Step(name string) DoctorStep {
	for _, s := range r.Steps {
		if s.Name == name {
			return s
		}
	}
	return DoctorStep{}
}

// Status is DoctorFailed when a step failed, else DoctorWarn when one warns, else DoctorOK.
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

// Err is the first failed step as an error, and nil where none failed. errors.Is finds its cause: ErrFirewall, ErrNoRole and those
// beside them.
func (r *DoctorReport) Err() error {
	for _, s := range r.Steps {
		if s.Status == DoctorFailed {
			return failed("Doctor", fmt.Errorf("%s: %w", s.Name, s.Err))
		}
	}
	return nil
}

// String is the report as text, to be pasted into a ticket.
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
			// The id of an answer that was as it should be is of no use to anyone who reads the text.
			if line[1] != "" && s.Status != DoctorOK {
				fmt.Fprintf(&b, "%-30s%s%s\n", "", line[0], line[1])
			}
		}
	}
	return b.String()
}

// WriteTo writes String.
func (r *DoctorReport) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, r.String())
	return int64(n), err
}

// MarshalJSON gives {"registry","credential","time","client","result","steps":[{"name","status","duration_ms","seen","advice",
// "correlation_id"}]}; what is empty is left out of a step.
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

// shortDuration is a duration as people want to read it in a column.
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

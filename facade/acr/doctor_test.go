package acr_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/google/go-cmp/cmp"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// allSteps are the steps of a report in their order.
var allSteps = []string{
	acr.DoctorName, acr.DoctorConnection, acr.DoctorTLS, acr.DoctorClock, acr.DoctorChallenge, acr.DoctorCredential, acr.DoctorExchange, acr.DoctorToken,
	acr.DoctorCatalog, acr.DoctorPull, acr.DoctorPush, acr.DoctorAnonymous, acr.DoctorStorage,
}

// TestDoctor walks through registries with one thing wrong each, and holds the report to what it has to say of it, to what it must not
// say, and to its form.
func TestDoctor(t *testing.T) {
	t.Parallel()
	for _, tt := range sicknesses {
		t.Run(tt.id, func(t *testing.T) {
			t.Parallel()
			srv := acrsuite.NewServer(t, tt.server...)
			srv.SeedImage(t, "samples/app:v1")
			srv.SeedIndex(t, "samples/app:index", "amd64", "arm64")
			if tt.script != nil {
				tt.script(srv)
			}
			if tt.client == nil {
				tt.client = func(t *testing.T, srv *acrtest.Server) *acr.Client { return acrsuite.NewClient(t, srv) }
			}
			report, err := tt.client(t, srv).Doctor(t.Context(), tt.options)
			if err != nil {
				t.Fatal(err)
			}
			got, want := map[string]acr.DoctorStatus{}, map[string]acr.DoctorStatus{}
			var names []string
			failed := false
			for _, s := range report.Steps {
				names = append(names, s.Name)
				got[s.Name] = s.Status
				failed = failed || s.Status == acr.DoctorFailed
				if (s.Status == acr.DoctorFailed) != (s.Err != nil && s.Status != acr.DoctorWarn) {
					t.Errorf("%s: %s with the error %v", s.Name, s.Status, s.Err)
				}
				if s.Status == acr.DoctorFailed && s.Advice == "" && tt.step == s.Name {
					t.Errorf("%s failed, and no advice is given", s.Name)
				}
			}
			for _, name := range allSteps {
				want[name] = acr.DoctorOK
				if status, ok := tt.want[name]; ok {
					want[name] = status
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("steps (-want +got):\n%s\n%s", diff, report)
			}
			if !slices.Equal(names, allSteps) {
				t.Errorf("the order of the steps is %q", names)
			}
			if (report.Err() != nil) != failed {
				t.Errorf("Err is %v", report.Err())
			}
			step := report.Step(tt.step)
			if tt.cause != nil && !errors.Is(step.Err, tt.cause) {
				t.Errorf("%s: got %v, want %v", step.Name, step.Err, tt.cause)
			}
			for _, text := range tt.says {
				if !strings.Contains(step.Seen+"\n"+step.Advice, text) {
					t.Errorf("%s does not say %q: %q, do: %q", step.Name, text, step.Seen, step.Advice)
				}
			}
			healthyText(t, report)
			if n := srv.Ledger().Count(); n > 16 {
				t.Errorf("it took %d requests", n)
			}
			for _, r := range srv.Ledger().Requests() {
				if r.Method == http.MethodPut || r.Method == http.MethodPatch || (r.Operation == "StartUpload" && !tt.options.TryPush) {
					t.Errorf("it sent %s %s", r.Method, r.Path)
				}
			}
			if srv.Ledger().Count("StartUpload") != srv.Ledger().Count("CancelUpload") && step.Err == nil {
				t.Error("an upload was left behind")
			}
		})
	}
}

// healthyText holds the forms of a report to what may be in them.
func healthyText(t *testing.T, report *acr.DoctorReport) {
	t.Helper()
	var text bytes.Buffer
	if n, err := report.WriteTo(&text); err != nil || n != int64(text.Len()) {
		t.Errorf("WriteTo: %d, %v", n, err)
	}
	encoded, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{text.String(), string(encoded)} {
		for _, secret := range []string{"eyJ", "sig=", "swordfish", "hunter2", "wrong-wrong"} {
			if strings.Contains(form, secret) {
				t.Errorf("%q is in the report:\n%s", secret, form)
			}
		}
		if i := strings.IndexFunc(form, func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f }); i >= 0 {
			t.Errorf("control character %q", form[i])
		}
	}
	var decoded struct {
		Result acr.DoctorStatus
		Steps  []struct {
			Name          string
			Status        acr.DoctorStatus
			Duration      float64 `json:"duration_ms"`
			Seen, Advice  string
			CorrelationID string `json:"correlation_id"`
		}
	}
	if err := json.Unmarshal(encoded, &decoded); err != nil || decoded.Result != report.Status() || len(decoded.Steps) != len(report.Steps) {
		t.Errorf("%v: %s", err, encoded)
	}
	for i, s := range decoded.Steps {
		if want := report.Steps[i]; s.Name != want.Name || s.Status != want.Status || s.Seen != want.Seen || s.CorrelationID != want.CorrelationID {
			t.Errorf("%+v", s)
		}
	}
}

// TestDoctorArguments: what could not be asked for is refused before anything is sent.
func TestDoctorArguments(t *testing.T) {
	t.Parallel()
	srv := acrsuite.NewServer(t)
	c := acrsuite.NewClient(t, srv)
	for _, tt := range []struct {
		options acr.DoctorOptions
		want    error
	}{
		{acr.DoctorOptions{Repository: ".."}, acr.ErrInvalidArgument},
		{acr.DoctorOptions{Repository: "a", Reference: ".."}, acr.ErrInvalidArgument},
		{acr.DoctorOptions{Repository: "a", Reference: "sha256:ABC"}, acr.ErrInvalidArgument},
		{acr.DoctorOptions{Reference: "v1"}, acr.ErrInvalidArgument},
		{acr.DoctorOptions{TryPush: true}, acr.ErrInvalidArgument},
	} {
		if _, err := c.Doctor(t.Context(), &tt.options); !errors.Is(err, tt.want) {
			t.Errorf("%+v: %v", tt.options, err)
		}
	}
	srv.Ledger().AtMost(t, 0)
}

// TestDoctorContext: an ended context ends the walk; the error says so, and the report how far it got.
func TestDoctorContext(t *testing.T) {
	t.Parallel()
	srv := acrsuite.NewServer(t)
	c := acrsuite.NewClient(t, srv)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	report, err := c.Doctor(ctx, nil)
	if !errors.Is(err, context.Canceled) || len(report.Steps) != len(allSteps) || !strings.Contains(report.Step(acr.DoctorName).Seen, "context") {
		t.Errorf("%v\n%s", err, report)
	}
	srv.Ledger().AtMost(t, 0)
}

// TestDoctorStepTimeout: a step that gets no answer ends by itself, and so do those after it.
func TestDoctorStepTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := acrsuite.NewServer(t, acrtest.WithMemoryNetwork())
		srv.On("ExchangeEntraToken").Always().Stall()
		c := acrsuite.NewClient(t, srv)
		began := time.Now()
		report, err := c.Doctor(t.Context(), nil)
		// A step and a token request both have 30 s: whichever ends first says so in its own words.
		silent := regexp.MustCompile(`no response in time|did not answer within 30s`)
		if step := report.Step(acr.DoctorExchange); err != nil || step.Status != acr.DoctorFailed || !errors.Is(step.Err, context.DeadlineExceeded) || step.Advice == "" || !silent.MatchString(step.Seen) {
			t.Errorf("%v\n%s", err, report)
		}
		if took := time.Since(began).Round(time.Second); took != 30*time.Second {
			t.Errorf("it took %s", took)
		}
		c.CloseIdleConnections()
		srv.Close()
	})
}

// deafCredential takes no notice of its context.
type deafCredential chan struct{}

func (c deafCredential) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	<-c
	return azcore.AccessToken{}, errors.New("too late")
}

// TestDoctorSilentCredential: not even a credential that ignores its context holds the walk up, and the report says how long it was waited for.
func TestDoctorSilentCredential(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := acrsuite.NewServer(t, acrtest.WithMemoryNetwork())
		cred := make(deafCredential)
		c, err := acr.NewClient(srv.Endpoint(), cred, acrsuite.ClientOptions(srv, acrsuite.Checked(t, srv)))
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		report, err := c.Doctor(t.Context(), &acr.DoctorOptions{StepTimeout: 20 * time.Second})
		if step := report.Step(acr.DoctorCredential); err != nil || step.Seen != "GetEntraToken: no token arrived within 20s" || step.Advice == "" {
			t.Errorf("%v\n%s", err, report)
		}
		if took := time.Since(began).Round(time.Second); took != 20*time.Second {
			t.Errorf("it took %s", took)
		}
		close(cred)
		c.CloseIdleConnections()
		srv.Close()
	})
}

// TestDoctorLeavesTokens: the client's own tokens are neither used nor lost.
func TestDoctorLeavesTokens(t *testing.T) {
	t.Parallel()
	srv := acrsuite.NewServer(t)
	c := acrsuite.NewClient(t, srv)
	for range 2 {
		if _, err := acr.Collect(c.Repositories(t.Context(), nil)); err != nil {
			t.Fatal(err)
		}
		report, err := c.Doctor(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		// The transport is the test's own, and so are its open connections.
		if s := report.Step(acr.DoctorConnection); s.Status != acr.DoctorOK || !strings.Contains(s.Seen, "open already, to 127.0.0.1:") {
			t.Errorf("%s: %s", s.Status, s.Seen)
		}
	}
	if n := srv.Ledger().Count("ExchangeEntraToken"); n != 3 {
		t.Errorf("%d exchanges, want one of the client and one of each report", n)
	}
}

// TestDoctorForeignTransport: a transport that is not of net/http tells nothing of the way, and the rest is found out all the same.
func TestDoctorForeignTransport(t *testing.T) {
	t.Parallel()
	s := &acrsuite.Scripted{Answer: func(r *http.Request) *http.Response {
		if r.Header.Get("Authorization") == "" {
			return acrsuite.Answer(http.StatusUnauthorized, "", "Www-Authenticate", `Bearer realm="https://r.azurecr.io/oauth2/token",service="r.azurecr.io"`)
		}
		if r.URL.Path == "/v2/" {
			return acrsuite.Answer(http.StatusOK, `{}`)
		}
		return acrsuite.Answer(http.StatusOK, `{"repositories":[],"tags":[]}`)
	}}
	c, err := acr.NewClientWithPassword("r.azurecr.io", "user", "swordfish", &acr.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: s}})
	if err != nil {
		t.Fatal(err)
	}
	report, err := c.Doctor(t.Context(), &acr.DoctorOptions{Repository: "a"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]acr.DoctorStatus{
		acr.DoctorName: acr.DoctorSkipped, acr.DoctorConnection: acr.DoctorSkipped, acr.DoctorTLS: acr.DoctorSkipped, acr.DoctorClock: acr.DoctorSkipped, acr.DoctorChallenge: acr.DoctorOK,
		acr.DoctorToken: acr.DoctorOK, acr.DoctorCatalog: acr.DoctorOK, acr.DoctorPull: acr.DoctorOK, acr.DoctorPush: acr.DoctorSkipped, acr.DoctorAnonymous: acr.DoctorOK,
	}
	for name, status := range want {
		if s := report.Step(name); s.Status != status {
			t.Errorf("%s is %s: %s", name, s.Status, s.Seen)
		}
	}
	healthyText(t, report)
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/cmd/internal/program"
)

func main() {
	program.Main("acrtest", func(ctx context.Context, p program.Process, args []string) int {
		return p.Status(run(ctx, p, args))
	})
}

// started is the line that is printed when the registry is ready. Programs read it, so fields are
// added but never renamed or removed.
type started struct {
	Endpoint        string `json:"endpoint"`
	LoginServer     string `json:"login_server"`
	StorageEndpoint string `json:"storage_endpoint"`
	CAFile          string `json:"ca_file"`
	Username        string `json:"username"`
	Password        string `json:"password"`
	EntraToken      string `json:"entra_token"`
	Authority       string `json:"authority"`
	Tenant          string `json:"tenant"`
	ClientID        string `json:"client_id"`
	ClientSecret    string `json:"client_secret"`
	Anonymous       bool   `json:"anonymous"`
	Control         string `json:"control_endpoint"` // "" with -control ""
	ControlToken    string `json:"control_token"`
	PID             int    `json:"pid"`

	Regional map[string]string `json:"regional_endpoints,omitempty"` // by region, with -replicas
}

// run serves until ctx is canceled.
func run(ctx context.Context, p program.Process, args []string) error {
	settings, err := parse(p, args)
	if err != nil {
		return err
	}
	logger := slog.New(slog.NewTextHandler(p.Stderr, nil))
	s, err := acrtest.Start(append(settings.options, acrtest.WithLogger(logger), acrtest.WithLedgerSize(ledgerSize))...)
	switch {
	case errors.Is(err, acrtest.ErrRemoteAccess):
		return program.Invalid(fmt.Errorf("%w (option -allow-remote)", err))
	case errors.Is(err, acrtest.ErrInvalidOption):
		return program.Invalid(err)
	case err != nil:
		return err
	}
	defer s.Close()
	caFile, err := writeCA(settings.caFile, s.CA())
	if err != nil {
		return err
	}
	if settings.caFile == "" {
		defer func() { _ = os.Remove(caFile) }() // a file of our own in the temporary directory
	}
	where := describe(s, caFile)
	for _, region := range settings.regions {
		where.Regional[region] = s.RegionalEndpoint(region)
	}
	if settings.control != "" {
		control, err := startControl(s, settings.control)
		if err != nil {
			return err
		}
		defer control.close()
		where.Control, where.ControlToken = control.endpoint(), control.token
	}
	if err := json.NewEncoder(p.Stdout).Encode(where); err != nil {
		return fmt.Errorf("acrtest: write to the standard output: %w", err)
	}
	<-ctx.Done()
	return nil
}

// ledgerSize bounds the memory of a program that runs for days.
const ledgerSize = 1000

func describe(s *acrtest.Server, caFile string) started {
	user, password := s.Admin()
	tenant, id, secret := s.ServicePrincipal()
	return started{
		Endpoint: s.Endpoint(), LoginServer: s.Host(), StorageEndpoint: "https://" + s.StorageHost(), CAFile: caFile,
		Username: user, Password: password, EntraToken: s.EntraToken(),
		Authority: s.Authority() + "/", Tenant: tenant, ClientID: id, ClientSecret: secret,
		Anonymous: s.AllowsAnonymousPull(), PID: os.Getpid(), Regional: map[string]string{},
	}
}

// writeCA writes the certificate to the file, or to a new temporary file if name is empty, and
// returns its name. The file is readable by everyone: a certificate is public, and the client may
// run as another user.
func writeCA(name string, pem []byte) (string, error) {
	if name == "" {
		f, err := os.CreateTemp("", "acrtest-ca-*.pem")
		if err != nil {
			return "", fmt.Errorf("acrtest: create a file for the CA certificate: %w", err)
		}
		name = f.Name()
		if err := errors.Join(f.Chmod(0o644), f.Close()); err != nil {
			return "", fmt.Errorf("acrtest: create a file for the CA certificate: %w", err)
		}
	}
	if err := os.WriteFile(name, pem, 0o644); err != nil {
		return "", fmt.Errorf("acrtest: write the CA certificate: %w", err)
	}
	return name, nil
}

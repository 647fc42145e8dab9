package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/acrkit/acrkit/facade/acrtest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends a program that takes too long to end
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.As(err, new(usageError)):
		os.Exit(2) // the flag package has said what is wrong
	default:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// started is the line that is printed when the registry serves. It is meant to be read by programs: fields are added, never renamed.
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
	PID             int    `json:"pid"`
}

// run serves until ctx ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	settings, err := parse(args, stderr)
	if err != nil {
		return err
	}
	logger := slog.New(slog.NewTextHandler(stderr, nil))
	s, err := acrtest.Start(append(settings.options, acrtest.WithLogger(logger), acrtest.WithLedgerSize(ledgerSize))...)
	if errors.Is(err, acrtest.ErrRemoteAccess) {
		return fmt.Errorf("%w without -allow-remote", err)
	}
	if err != nil {
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
	if settings.control != "" {
		control, err := startControl(s, settings.control)
		if err != nil {
			return err
		}
		defer control.close()
		where.Control = control.endpoint()
	}
	if err := json.NewEncoder(stdout).Encode(where); err != nil {
		return fmt.Errorf("acrtest: printing where the registry is: %w", err)
	}
	<-ctx.Done()
	return nil
}

// ledgerSize keeps a program that runs for days small.
const ledgerSize = 1000

func describe(s *acrtest.Server, caFile string) started {
	user, password := s.Admin()
	tenant, id, secret := s.ServicePrincipal()
	return started{
		Endpoint: s.Endpoint(), LoginServer: s.Host(), StorageEndpoint: "https://" + s.StorageHost(), CAFile: caFile,
		Username: user, Password: password, EntraToken: s.EntraToken(),
		Authority: s.Authority() + "/", Tenant: tenant, ClientID: id, ClientSecret: secret,
		Anonymous: s.AllowsAnonymousPull(), PID: os.Getpid(),
	}
}

// writeCA writes the certificate to the file, or to a new one in the temporary directory when no name is given. It is readable for all: a
// certificate is public, and the client may run as another user.
func writeCA(name string, pem []byte) (string, error) {
	if name == "" {
		f, err := os.CreateTemp("", "acrtest-ca-*.pem")
		if err != nil {
			return "", fmt.Errorf("acrtest: making a file for the CA: %w", err)
		}
		name = f.Name()
		if err := errors.Join(f.Chmod(0o644), f.Close()); err != nil {
			return "", fmt.Errorf("acrtest: making a file for the CA: %w", err)
		}
	}
	if err := os.WriteFile(name, pem, 0o644); err != nil {
		return "", fmt.Errorf("acrtest: writing the CA: %w", err)
	}
	return name, nil
}

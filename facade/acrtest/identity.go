package acrtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// identity is what a registry makes up about itself. One that keeps its content in a directory keeps it there too, so that who was signed
// in before a restart can sign in after it. Tokens and the certificate are made anew.
type identity struct {
	RegistryID    string `json:"registry_id"`
	AdminPassword string `json:"admin_password"`
	Tenant        string `json:"tenant"`
	Subject       string `json:"subject"`
	ClientID      string `json:"client_id"`
	ClientSecret  string `json:"client_secret"`
}

func newIdentity() identity {
	return identity{
		RegistryID: newGUID(), AdminPassword: randomSecret(), Tenant: newGUID(), Subject: newGUID(), ClientID: newGUID(), ClientSecret: randomSecret(),
	}
}

// loadIdentity reads the identity in a directory, or makes one and keeps it there.
func loadIdentity(dir string) (identity, error) {
	fresh := newIdentity()
	if dir == "" {
		return fresh, nil
	}
	name := filepath.Join(dir, "identity.json")
	raw, err := os.ReadFile(name)
	if err == nil {
		var kept identity
		if err := json.Unmarshal(raw, &kept); err != nil || kept.AdminPassword == "" || kept.ClientSecret == "" {
			return identity{}, fmt.Errorf("acrtest: %s is not an identity that the emulator wrote; remove it to get another", name)
		}
		return kept, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return identity{}, fmt.Errorf("acrtest: reading the identity: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return identity{}, fmt.Errorf("acrtest: making the directory: %w", err)
	}
	if raw, err = json.Marshal(fresh); err != nil { //nolint:gosec // the secrets of an emulator, in a file that is its owner's
		return identity{}, fmt.Errorf("acrtest: the identity: %w", err)
	}
	// Whole or not at all, also where the process is killed here: a name of its own first.
	part := fmt.Sprintf("%s.%d", name, os.Getpid())
	if err := os.WriteFile(part, append(raw, '\n'), 0o600); err != nil {
		return identity{}, fmt.Errorf("acrtest: writing the identity: %w", err)
	}
	if err := os.Rename(part, name); err != nil {
		return identity{}, fmt.Errorf("acrtest: writing the identity: %w", err)
	}
	return fresh, nil
}

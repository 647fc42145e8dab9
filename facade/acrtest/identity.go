package acrtest

import (
	"encoding/json"
	"fmt"
	"path/filepath"

	"github.com/acrkit/acrkit/facade/acrtest/internal/store"
)

// identity is what a registry makes up about itself. One that keeps its content in a directory
// keeps it there too, so that who was signed in before a restart can sign in after it. Tokens and
// the certificate are made anew.
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

// keptIdentity gives what the directory has of an earlier run, or makes it up and keeps it there.
func keptIdentity(st *store.Store, dir string) (identity, error) {
	fresh := newIdentity()
	raw, err := json.Marshal(fresh) //nolint:gosec // the secrets of an emulator, in a file that is its owner's
	if err != nil {
		return identity{}, fmt.Errorf("acrtest: encode the identity: %w", err)
	}
	if raw, err = st.Keep(identityFile, append(raw, '\n')); err != nil {
		return identity{}, fmt.Errorf("acrtest: store the identity: %w", err)
	}
	var kept identity
	if err := json.Unmarshal(raw, &kept); err != nil || kept.AdminPassword == "" || kept.ClientSecret == "" {
		name := filepath.Join(dir, identityFile)
		return identity{}, fmt.Errorf("acrtest: %s was not written by the emulator; remove it to create a new identity", name)
	}
	return kept, nil
}

const identityFile = "identity.json"

package credentials_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/credentials"
)

// A client that signs in as `docker login` did. With a real registry nil options do.
func ExampleNewClient() {
	ctx := context.Background()
	server, err := acrtest.Start(acrtest.WithoutAnonymousPull(), acrtest.WithAdmin("admin", "password"))
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	server.SeedImage(nil, "library/hello:v1")
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	config := filepath.Join(dir, "config.json")
	content := `{"auths":{"` + server.Host() + `":{"auth":"` + basic("admin", "password") + `"}}}`
	if err := os.WriteFile(config, []byte(content), 0o600); err != nil {
		log.Fatal(err)
	}

	client, err := credentials.NewClient(ctx, server.Endpoint(), &credentials.Options{
		Files:  []string{config}, // leave it out to search the files of docker, podman and helm
		Client: &acr.ClientOptions{ClientOptions: server.ClientOptions(), AllowedHosts: []string{server.Host()}},
	})
	if err != nil {
		log.Fatal(err)
	}
	for name, err := range client.RepositoryNames(ctx, nil) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(name)
	}
	// Output: library/hello
}

// Who is signed in at a registry, and by which file. Secret returns the password, Client a client.
func ExampleFind() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	config := filepath.Join(dir, "config.json")
	content := `{"auths":{"myregistry.azurecr.io":{"auth":"` + basic("admin", "password") + `"}}}`
	if err := os.WriteFile(config, []byte(content), 0o600); err != nil {
		log.Fatal(err)
	}

	c, err := credentials.Find(context.Background(), "myregistry.azurecr.io", &credentials.Options{Files: []string{config}})
	if err != nil {
		log.Fatal(err)
	}
	client, err := c.Client("myregistry.azurecr.io", nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(c.Username, c.IsAnonymous(), len(c.Secret()), filepath.Base(c.Source))
	fmt.Println(client)
	// Output:
	// admin false 8 config.json
	// acr.Client(https://myregistry.azurecr.io)
}

// Use the entry that podman has for some repositories of a registry.
func ExampleOptions() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "auth.json")
	content := `{"auths":{"myregistry.azurecr.io/team":{"auth":"` + basic("team", "password") + `"}}}`
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		log.Fatal(err)
	}

	for _, repository := range []string{"team/app", "other/app"} {
		c, err := credentials.Find(context.Background(), "myregistry.azurecr.io", &credentials.Options{Files: []string{file}, Repository: repository})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(repository, c.IsAnonymous(), c.Username)
	}
	// Output:
	// team/app false team
	// other/app true
}

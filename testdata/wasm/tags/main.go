// Program tags lists the tags of a repository, as WebAssembly under node.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/acrkit/acrkit/facade/acr"
)

func main() {
	registry, repository := os.Args[1], os.Args[2]
	client, err := acr.NewClientWithPassword(registry, os.Getenv("USERNAME"), os.Getenv("PASSWORD"), &acr.ClientOptions{
		AllowedHosts: []string{registry}, // not needed for a registry in Azure
	})
	if err != nil {
		log.Fatal(err)
	}
	for tag, err := range client.Repository(repository).Tags(context.Background(), nil) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(tag.Name, tag.Digest)
	}
}

// Command readme is the program of README.md, kept here so that it is compiled.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/acrkit/acrkit/facade/acr"
)

func main() {
	cred, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	client, err := acr.NewClient("myregistry.azurecr.io", cred, nil)
	if err != nil {
		log.Fatal(err)
	}
	for tag, err := range client.Repository("library/hello").Tags(context.Background(), nil) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(tag.Name, tag.Digest, tag.LastUpdateTime)
	}
}

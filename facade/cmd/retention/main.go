// Command retention deletes what an Azure Container Registry no longer needs, without breaking an
// image. It is made for scheduled jobs: plan, have the plan approved, apply it.
//
//	retention plan  -rules rules.json [-out plan.json] [options] REGISTRY
//	retention apply -plan plan.json -journal deleted.jsonl [-approved ID] [options] REGISTRY
//	retention undo  -journal deleted.jsonl [options] REGISTRY
//
// It also reports how many bytes the repositories hold, and what changed between two moments:
//
//	retention storage  [-plan plan.json] [options] REGISTRY
//	retention snapshot -out before.jsonl [options] REGISTRY
//	retention diff     [-json] before.jsonl after.jsonl
//
// Rules are the JSON of [github.com/acrkit/acrkit/facade/retention.ParseRules]. Requests stay within
// the registry's published budgets. Option -h of a command lists its options.
//
// The exit status is 0 if everything was done, 1 if a repository was refused, something was left, or
// the program failed or was interrupted, and 2 if the command line, the environment, the rules or a
// file is invalid. The exit status of diff is 1 if there are differences.
//
// The environment variables are those of azidentity, the usual proxy variables, and:
//
//	ACRKIT_USERNAME, ACRKIT_PASSWORD  admin user, repository token or service principal to sign in with
//	ACRKIT_ALLOWED_HOSTS              registries outside the ACR domains that may receive the credential:
//	                                  localhost:5000,registry.example.com
//	ACRKIT_CA_FILE                    PEM certificates to trust in addition to the system's
package main

import (
	"context"

	"github.com/acrkit/acrkit/facade/cmd/internal/azure"
	"github.com/acrkit/acrkit/facade/cmd/internal/program"
)

func main() {
	program.Main("retention", func(ctx context.Context, p program.Process, args []string) int {
		return command{Process: p, signIn: azure.Credential}.run(ctx, args)
	})
}

// Package retention deletes what a registry no longer needs, without breaking an image.
//
// Rules say what may be deleted and what must stay. [Make] reads the registry and returns a [Plan]:
// what would be deleted, with a reason for each manifest and tag. [Apply] checks the plan again and
// deletes. [Undo] restores what Apply deleted.
//
//	rules := retention.KeepNewest(3, 7*retention.Day, "apps/*")
//	plan, err := retention.Make(ctx, client, rules, nil)
//	...
//	err = plan.WriteTable(os.Stdout)
//	...
//	journal, err := os.OpenFile("deleted.jsonl", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
//	...
//	result, err := retention.Apply(ctx, client, plan, &retention.ApplyOptions{Journal: journal})
//
// Give the client a [acr.Governor], so that a large registry is read and cleaned within its request
// budgets.
//
// # What stays
//
// A manifest stays if a Keep rule selects one of its tags or no Delete rule selects it. It also
// stays if it is locked, in quarantine (see [acr.ChangeableAttributes]), in use, younger than the
// policy's Grace, or of an unknown media type. Everything that it needs stays too:
//
//   - the images of an index, and of the indexes in it
//   - the signatures, SBOMs and other referrers of an image, and theirs, including those that
//     cosign keeps under tags
//   - the subject of a referrer
//   - a manifest that another one names as one of its blobs
//
// Manifests that belong to each other in a circle stay too, such as two images with the cosign tags
// of each other: if one is deleted first, the other one is incomplete until it is deleted too. The
// plan lists them ([FoundCircle]).
//
// The newest tag of a repository always stays, unless Limits.LeaveTags says otherwise.
//
// Nothing is deleted from a repository that cannot be read completely, because it is not known what
// its manifests need. That is so if its properties count more manifests or tags than its lists
// show, if it keeps changing, or if one manifest cannot be read. The plan has the reason.
//
// # Rules as JSON
//
// Programs write rules in Go, jobs as JSON (see [ParseRules]):
//
//	{"version": 1, "policies": [{
//	  "name": "services",
//	  "repositories": {"glob": ["apps/**"]},
//	  "grace": "48h",
//	  "keep": [
//	    {"name": "releases", "tags": {"regexp": ["v?([0-9]+\\.[0-9]+)\\.[0-9]+"]}, "newest": 3, "order": "semver"},
//	    {"name": "moving tags", "tags": {"glob": ["latest", "stable", "prod-*"]}},
//	    {"name": "this quarter", "tags": {"glob": ["*"]}, "within": "90d"}],
//	  "delete": [
//	    {"name": "pull requests", "tags": {"glob": ["pr-*"]}, "olderThan": "7d"},
//	    {"name": "the rest", "tags": {"glob": ["*"]}, "exceptTags": {"glob": ["archive-*"]}, "olderThan": "180d"},
//	    {"name": "untagged", "untagged": true, "olderThan": "7d"},
//	    {"name": "lost signatures", "orphans": true, "olderThan": "7d"}]}]}
//
// Keep always wins over Delete, so the order of rules does not matter. A group in a regular
// expression makes Newest count for each value of the group: above, the newest three of every minor
// version.
//
// # From acr purge
//
// The flags of "acr purge" and their counterparts:
//
//	--filter 'app:dev-.*'   policy "repositories": {"glob": ["app"]}, rule "tags": {"regexp": ["dev-.*"]}
//	--ago 30d               "olderThan": "30d" of a Delete rule
//	--keep 10               "newest": 10 of a Keep rule with the same tags
//	--untagged              a Delete rule with "untagged": true
//	--untagged-only         a policy with that rule alone
//	--include-locked        "unlock": true of the policy
//	--dry-run               Make without Apply
//	--concurrency           ApplyOptions.Concurrency, and acr.Governor for the pace
//
// Two things differ. A pattern matches the whole name, where acr purge looks for it anywhere in the
// name: its filter "app:1.0" also selects the tag 21.0x. And "newest": 10 keeps the ten newest of
// all selected tags, but --keep 10 keeps the ten newest of those that are older than --ago.
//
// # What is there, and what changed
//
// [Storage] returns how many bytes each repository has, and how many of them other repositories
// share or no tagged image needs. [Snapshot] writes the state of a registry to a file, and [Diff]
// compares two files.
//
// # What cannot be undone
//
// [Undo] needs the journal that Apply wrote, and the blobs, which the registry deletes some time
// after the manifest.
//
// The registry has no conditional delete. Between the last look at a manifest and its deletion,
// about one round trip, somebody may put a tag on it, and the tag is deleted with it. So is a
// signature that somebody attaches to it while its batch is deleted. In a geo-replicated registry,
// this time is as long as the replicas need to learn of a push. Run one retention job per registry:
// two of them would each repair what the other one deletes.
package retention

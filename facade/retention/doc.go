// Package retention deletes what a registry no longer needs, without breaking an image.
//
// Rules say what may be deleted and what must stay. [Make] reads the registry and returns a [Plan]:
// what would be deleted, with a reason for each manifest and tag. [Apply] carries the plan out, and
// checks again what it deletes. [Undo] puts back what Apply deleted.
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
// A manifest stays if a Keep rule selects one of its tags, if no Delete rule selects it, if it is
// locked, quarantined, in use, younger than the policy's Grace or of an unknown media type. With it
// stays everything that it needs:
//
//   - the images of an index, and of the indexes in it
//   - the signatures, SBOMs and other referrers of an image, and theirs, including those that
//     cosign keeps under tags
//   - the subject of a referrer
//   - a manifest that another one names as one of its blobs
//
// Manifests that belong to each other in a circle stay as well, such as two images under each
// other's cosign tag: whichever is deleted first, the other one is incomplete for a moment. The
// plan lists them ([FoundCircle]).
//
// The newest tag of a repository always stays, unless Limits.LeaveTags says otherwise.
//
// A repository is left as it is, with the reason in the plan, if it cannot be read completely: if
// it counts more manifests or tags than its lists show, if it keeps changing, or if one manifest
// cannot be read. Then nothing can be said about what the others need.
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
// name: its filter "app:1.0" also selects the tag 21.0x. And newest counts all tags that the rule
// selects, where --keep counts only those that are older than --ago: the last ten tags stay,
// however young they are.
//
// # What is there, and what changed
//
// [Storage] returns how many bytes each repository has alone, shares with others, and needs for no
// tagged image. [Snapshot] writes the state of a registry to a file, and [Diff] compares two files.
//
// # What cannot be undone
//
// [Undo] needs the journal that Apply wrote, and the blobs, which the registry deletes some time
// after the manifest.
//
// The registry has no conditional delete. Between the last look at a manifest and its deletion,
// about one round trip, somebody may put a tag or a signature on it, and these are deleted with it.
// In a geo-replicated registry that moment is as long as the replicas take to learn of a push. Run
// one retention job per registry: two of them would each repair what the other one deletes.
package retention

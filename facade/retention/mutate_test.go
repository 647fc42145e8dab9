package retention_test

import (
	"testing"

	"github.com/acrkit/acrkit/facade/internal/acrsuite/mutate"
)

// guards are the lines on which the safety of this package rests, with what breaks each, and the test that then fails.
var guards = []struct{ name, file, line, broken, test string }{
	{"E1 a tag that stays keeps its manifest", "judge.go", "why := j.keptTags[v.at]\n", "why := j.keptTags[v.at]\n\t\t\tif true {\n\t\t\t\tcontinue\n\t\t\t}\n", "TestAccident"},
	{"E2 an index that stays keeps its images", "state.go", "for i, r := range n.body.Named {", "for i, r := range n.body.Named[:0] {", "TestAccident"},
	{"E3 a referrer that stays keeps its subject", "judge.go", "if n.subject != nil { // E3", "if false {", "TestSubjectStays"},
	{"E4 an image that stays keeps its referrers", "judge.go", "if !j.exempt[r.at] {", "if false {", "TestAccident"},
	{"E5 an image that stays keeps its cosign tags", "judge.go", "for _, t := range n.belongs { // E5", "for _, t := range n.belongs[:0] {", "TestAccident"},
	{"E6 a manifest keeps what it names as a blob", "state.go", "for _, b := range n.body.Blobs {", "for _, b := range n.body.Blobs[:0] {", "TestAccident"},
	{"K1 what no rule deletes stays", "judge.go", "case !matched:", "case false:", "TestProperty"},
	{"K2 a locked tag stays", "judge.go", "case t.locked && !(j.policy.Unlock && matched):", "case false:", "TestAccident"},
	{"K2 a locked manifest stays", "judge.go", "if n.locked && !j.mayUnlock(n) { // K2", "if false {", "TestAccident"},
	{"K2 a locked manifest keeps its tags", "judge.go", "for _, t := range n.tags {\n\t\tj.keepTag(t, Reason{Code: KeptLocked", "for _, t := range n.tags[:0] {\n\t\tj.keepTag(t, Reason{Code: KeptLocked", "TestAccident"},
	{"K3 a tag in use stays", "judge.go", "case j.used.all || j.used.tags[t.name]:", "case false:", "TestInUse"},
	{"K3 a manifest in use stays", "judge.go", "if j.used.all || j.used.digests[n.digest] {", "if false {", "TestInUse"},
	{"K4 a young tag stays", "judge.go", "case j.isYoung(t.updated, grace):", "case false:", "TestGrace"},
	{"K4 a young manifest stays", "judge.go", "if j.isYoung(n.updated, grace) {", "if false {", "TestGrace"},
	{"K4 what has no time is young", "judge.go", "(at.IsZero() || j.now.Sub(at) < than)", "j.now.Sub(at) < than", "TestUnknownTimesStay"},
	{"K6 a quarantined manifest stays", "judge.go", "if n.quarantined {", "if false {", "TestQuarantine"},
	{"K7 a manifest that must not be read stays", "judge.go", "if !n.attributes.ReadEnabled {", "if false {", "TestQuarantine"},
	{"K6 an unknown kind stays", "judge.go", "if n.body.Kind == graph.KindUnknown {", "if n.body.Kind == graph.Kind(\"\") {", "TestAccident"},
	{"K7 a manifest that cannot be read refuses the repository", "read.go", "return nil, refuse(RefusedUnreadable, \"what the manifest %s needs is not known: %s\", n.digest, steady(err))\n\tcase err != nil:", "return dockerImage, nil\n\tcase err != nil:", "TestRefusals"},
	{"K8 the newest tag stays", "judge.go", "if n == 0 {\n\t\treturn", "if n >= 0 {\n\t\treturn", "TestAccident"},
	{"counts are over all, not over what is old", "select.go", "if t.named || !r.selectsTag(t.name) {", "if t.named || !r.selectsTag(t.name) || j.matched[t.at] == nil {", "TestAccident"},
	{"signatures are not counted", "select.go", "if t.named || !r.selectsTag(t.name) {", "if !r.selectsTag(t.name) {", "TestNewestDoesNotCountSignatures"},
	{"images are counted, not tags", "select.go", "if j.policy.Count != Tags {\n\t\tcounted = nil", "if false {\n\t\tcounted = nil", "TestNewestCounts"},
	{"ties are not cut", "select.go", "if i >= n && (n == 0 || compare(v, sorted[n-1]) != 0) {", "if i >= n {", "TestTiesStay"},
	{"patterns match whole names", "../internal/match/glob.go", "regexp.Compile(`\\A(?:` + expression + `)\\z`)", "regexp.Compile(expression)", "TestAccident"},
	{"the count of manifests", "read.go", "case len(s.nodes) != after.ManifestCount:", "case false:", "TestRefusals"},
	{"the count of tags", "read.go", "case len(s.tags) != after.TagCount:", "case false:", "TestRefusals"},
	{"counts before and after", "read.go", "case before.ManifestCount != after.ManifestCount || ", "case false && before.ManifestCount != after.ManifestCount || ", "TestReadAgain"},
	{"404 on a body is not an empty body", "read.go", "return nil, changed(RefusedUnreadable, ", "return dockerImage, nil\n\t\treturn nil, changed(RefusedUnreadable, ", "TestRefusals"},
	{"a locked repository", "read.go", "if r.clock != nil && !before.Attributes.WriteEnabled {", "if false {", "TestRefusals"},
	{"order of deletions", "batch.go", "if b.status != deleted {\n\t\t\treturn false", "if b == nil {\n\t\t\treturn false", "TestApply"},
	{"order of deletions: reversed", "order.go", "return sorted\n", "slices.Reverse(sorted)\n\treturn sorted\n", "TestOrderOfDeletions"},
	{"order of deletions: a subject before its referrers", "order.go", "after = slices.Clone(n.refers)", "after = slices.Clone(n.refers[:0])", "TestOrderOfDeletions"},
	{"order of deletions: an index before its images", "order.go", "for _, v := range n.needs {", "for _, v := range n.needs[:0] {", "TestOrderOfDeletions"},
	{"order of deletions: an image before its cosign tags", "order.go", "for _, t := range n.belongs {", "for _, t := range n.belongs[:0] {", "TestOrderOfDeletions"},
	{"order of deletions: what contains a signature before its image", "order.go", "; v = v.owner() {", "; v = nil {", "TestOrderOfDeletions"},
	{"K9 circles stay", "judge.go", "if left[n.at] {", "if false {", "TestCircles"},
	{"K5, K10 what no rule leads to stays", "ground.go", "all = false\n", "continue\n", "TestNothingGoesWithoutARule|TestAloneStays"},
	{"deleted and pushed again", "batch.go", "delete(r.looked, i.Digest)", "", "TestApplyHeals"},
	{"fresh judgement", "run.go", "changed = append(changed, Skipped{string(m.Digest), SkippedKept, \"the rules keep it now\"})", "r.items[m.Digest] = &item{Manifest: m, node: n}", "TestApplyJudgesAgain"},
	{"what stays after all keeps what it needs", "run.go", "r.protect(m.Needs, m.Digest)", "_ = m", "TestProtect"},
	{"a skipped manifest keeps what it needs", "run.go", "for _, need := range i.needs {\n\t\tr.leave", "for _, need := range i.needs[:0] {\n\t\tr.leave", "TestApplyChecksTheCascade|TestProtect"},
	{"check of the tags", "recheck.go", "case slices.ContainsFunc(m.Tags, func", "case false && slices.ContainsFunc(m.Tags, func", "TestEachCheckCounts"},
	{"check of the number of tags", "recheck.go", "case !slices.Equal(m.Tags, planned):", "case false:", "TestEachCheckCounts"},
	{"check of the time", "recheck.go", "case !now.updated.Equal(i.Updated):", "case false:", "TestEachCheckCounts"},
	{"check of the lock", "recheck.go", "case now.locked && !(i.Locked && i.node.locked):", "case false:", "TestEachCheckCounts"},
	{"check of the quarantine", "recheck.go", "case now.quarantined:", "case false:", "TestApplyChecksAgain"},
	{"check of a tag's manifest", "recheck.go", "case !planned || t.Digest != i.Digest:", "case !planned:", "TestEachCheckCounts"},
	{"check of a tag's time", "recheck.go", "case !now.updated.Equal(i.Tags[at].Updated):", "case false:", "TestEachCheckCounts"},
	{"check of a tag's lock", "recheck.go", "case now.locked && !i.Tags[at].Locked:", "case false:", "TestEachCheckCounts"},
	{"check of the list of tags", "recheck.go", "if there != len(i.Tags) {", "if false {", "TestEachCheckCounts"},
	{"check of what goes along", "batch.go", "for _, w := range i.with {\n\t\tif why, err", "for _, w := range i.with[:0] {\n\t\tif why, err", "TestApplyChecksTheCascade"},
	{"the journal has what goes along", "batch.go", "slices.Concat(i.with, i.before)", "slices.Concat(i.with[:0], i.before)", "TestProperty"},
	{"what goes before a list is deleted soon", "batch.go", "slices.Concat(i.with, i.before)", "slices.Concat(i.with, i.before[:0])", "TestHealBehindAnotherIndex"},
	{"what is left has its parts", "heal.go", "whole.status == left && len(parts) > 0", "false", "TestHealOfListedReferrers"},
	{"what is gone itself brings nothing back", "heal.go", " && !r.isGone(ctx, whole) {", " {", "TestTwoAppliesOfAList"},
	{"what the end of a repository leaves has its parts", "batch.go", "\t\t\tr.leaveBroken(err)\n", "", "TestHealWhenTheRepositoryEnds"},
	{"a doubt that is settled is none", "batch.go", "r.setDoubt(false, w)", "_ = w", "TestUndoOfWhatWasInDoubt"},
	{"what was put back closes its entry", "undo.go", "outcomeGone, outcomeRestored:", "outcomeGone:", "TestUndoOfWhatWasPutBack"},
	{"what somebody else deletes takes its referrers along", "batch.go", "return r.goneWith(ctx, i, outcomeGone)", "return r.done(i, outcomeGone)", "TestHealOfWhatSomebodyElseDeletes"},
	{"what contains its owner is deleted soon", "batch.go", "range i.node.parents {", "range i.node.parents[:0] {", "TestHealOfWhatItsIndexContains"},
	{"a question that failed is no answer", "batch.go", "r.setDoubt(true, i.with...)\n\tif err", "if err", "TestHealOfWhatNobodyKnowsOf"},
	{"what is put back is put back once", "heal.go", "if was == restored || was", "if was", "TestHealOfDeletedThough"},
	{"what cannot be put back is no success", "heal.go", "r.result.Skipped = append(r.result.Skipped, Skipped{string(i.Digest), SkippedFailed, why +", "r.result.Repaired = append(r.result.Repaired, Skipped{string(i.Digest), SkippedFailed, why +", "TestHealThatFails"},
	{"what is put back is locked again", "heal.go", "\t\tr.lock(ctx, i)\n", "", "TestHealLocksAgain"},
	{"look before a batch", "batch.go", "if err := r.look(ctx); err != nil {", "if err := error(nil); err != nil {", "TestApplyChecksAgain"},
	{"look after a batch", "batch.go", "healErr := r.heal(ctx)", "healErr := error(nil)", "TestHealOfWhatIsSeenLate"},
	{"what is put back keeps what it needs", "heal.go", "r.leave(need, Skipped{string(need.Digest), SkippedNeeded, back})", "", "TestHealLeavesWhatIsStillToGo"},
	{"heal", "look.go", "r.restore(ctx, i, short(d)+\" was pushed, and needs it\")", "_ = i", "TestApplyHeals"},
	{"the registry's clock", "clock.go", "return &clock{date.UTC(), started}, nil", "return &clock{date.Add(time.Since(date)).UTC(), started}, nil", "TestClock"},
	{"the clock and the lists agree", "read.go", "if limit := r.clock.now().Add(clockTolerance); s.newest.After(limit) {", "if limit := r.clock.now().Add(clockTolerance); false {\n\t\t_ = limit", "TestClock"},
	{"unlocked things are locked again", "batch.go", "\trelock()\n", "\t_ = relock\n", "TestApplyUnlocks"},
	{"only what a rule names is unlocked", "judge.go", "return len(n.tags) > 0\n", "return true\n", "TestUnlockIsOnlyForWhatARuleNames"},
	{"a moved tag is put back", "untag.go", "if was != \"\" && was != t.Digest {", "if false {", "TestUntagPutsAMovedTagBack"},
	{"a plan that was edited", "plan.go", "if id := p.ID(); file.ID != id {", "if id := p.ID(); id == \"\" {", "TestReadPlanRefusesEditedPlans"},
	{"the sources of a plan", "apply.go", "case len(a.opts.InUse) < plan.InUse:", "case false:", "TestApplyNeedsTheSourcesOfThePlan"},
	{"null protects nothing", "strict.go", "\tcase nil:\n", "\tcase json.Delim(0):\n", "TestRulesThatProtectNothing"},
	{"patterns that match no name", "checkrule.go", "at >= 0 {\n\t\t\tc.fault(", "at < -1 {\n\t\t\tc.fault(", "TestRulesThatProtectNothing"},
	{"patterns with the registry", "check.go", "if strings.HasPrefix(text, host+\"/\") {", "if strings.HasPrefix(text, host+\"/\") && false {", "TestPatternsWithTheRegistry"},
	{"replicas in what is in use", "inuse.go", "return found && geo && ", "return false && found && geo && ", "TestInUseByOtherNames"},
	{"the head of a journal", "undo.go", "case !u.begun:", "case false:", "TestUndoRefusesDamagedJournals"},
	{"a line of its own for the head", "journal.go", "if entries[0].Version > 0 {", "if false {", "TestUndoOfACutJournal"},
	{"tags are judged again", "untag.go", "if time.Since(r.judgedAt) > judgeAgainAfter {", "if false && time.Since(r.judgedAt) > 0 {", "TestUntagJudgesAgain"},
	{"a source that names nothing", "inuse.go", "if named == 0 {", "if false {", "TestInUseUnknown"},
	{"a source that fails", "inuse.go", "if err != nil {\n\t\t\t\treturn nil, fmt.Errorf(\"retention: %w: source %d: %w\", ErrInUse, i+1, err)\n\t\t\t}\n\t\t\tours", "if err != nil {\n\t\t\t\tnamed++\n\t\t\t\tbreak\n\t\t\t}\n\t\t\tours", "TestInUseUnknown"},
	{"an empty page does not end a list", "../acr/listahead.go", "if err != nil || a.walk.next == nil {", "if err != nil || a.walk.next == nil || len(fresh) == 0 {", "TestEmptyPages"},
	{"the journal comes first", "batch.go", "if err := r.note(ctx, batch); err != nil {", "if err := error(nil); err != nil {", "TestApply"},
	{"the age of a plan", "apply.go", "case age > a.opts.MaxAge:", "case false:", "TestApplyRefusesPlans"},
	{"the approved plan", "apply.go", "case a.opts.Approved != \"\" && a.opts.Approved != a.result.Plan:", "case false:", "TestApplyRefusesPlans"},
	{"the registry of a plan", "plan.go", "if p.Registry != c.Endpoint() {", "if false {", "TestApplyRefusesPlans"},
	{"limits", "verdict.go", "case float64(gone)*100 > l.percent()*float64(len(j.nodes)):", "case false:", "TestLimits"},
	{"only its own absence counts as a deletion", "batch.go", "case errors.Is(err, acr.ErrNotFound): // one", "case errors.Is(err, acr.ErrNotFound):\n\t\treturn r.done(i, outcomeGone)\n\tcase errors.Is(err, acr.ErrNotFound): // one", "TestNotFoundIsNotDeleted"},
	{"a deletion that may be carried out stays in the journal", "run.go", "if i.noted && !i.doubtful {", "if i.noted {", "TestDeletedThough"},
	{"what was judged without what it needs", "look.go", "needs = r.lacks(n)", "_ = n", "TestHealBehind"},
	{"what is put back keeps what is judged again", "heal.go", "need = r.current(need)\n", "", "TestHealBehind"},
	{"regular expressions that match no name", "checkrule.go", "err == nil && !matchesSome(re, letters)", "err == nil && false && !matchesSome(re, letters)", "TestRulesThatProtectNothing"},
	{"undo takes a tag where it was last", "undo.go", "range slices.Backward(r.entries) {\n\t\tif err := r.tagsAndLock", "range r.entries {\n\t\tif err := r.tagsAndLock", "TestUndoOfSeveralRuns"},
	{"undo sets locks again", "undo.go", "if e.Attributes == nil || r.opts.DryRun {", "if true {", "TestUndoLocks"},
	{"undo leaves a tag that moves", "undo.go", "MediaType: e.MediaType, IfAbsent: true})", "MediaType: e.MediaType})", "TestUndoLeavesMovedTags"},
	{"undo leaves a tag that moved", "undo.go", "r.skip(name, SkippedMoved, \"it points to \"+short(now.Digest)+\" by now\")\n\t\treturn nil", "_ = now", "TestUndoLeavesMovedTags"},
	{"what belongs to what was pushed", "look.go", "return append(needs, r.attached(d)...), nil", "return needs, nil", "TestOrphansWhoseSubjectComes"},
	{"cosign tags of what is put back", "heal.go", "\t\tr.attach(ctx, i)\n", "", "TestHealOfCosignTags"},
	{"a cosign tag stays with its image", "untag.go", "if of := r.belongs(t); of != \"\" {", "if of := r.belongs(t); of == \"none\" {", "TestUntagOfCosignTags"},
	{"a time in the future hides no push", "look.go", "since = latest(since, earliest(updated, now))", "since, _ = latest(since, updated), now", "TestLookBesideAClockThatIsAhead"},
	{"what has no time may be new", "look.go", "if updated.Before(until) && !updated.IsZero() {", "if updated.Before(until) {", "TestLookAtWhatHasNoTime"},
	{"lists take time", "run.go", "earliest(s.newest, started)", "latest(s.newest, started)", "TestPushedWhileTheListsAreRead"},
	{"what was gone is looked at again", "look.go", "continue // it may be pushed again", "r.looked[m.Digest] = updated\n\t\t\tcontinue", "TestLookAtWhatWasGone"},
	{"what is gone though nobody knows", "heal.go", "if was == restored || was != deleted && !r.isLost(ctx, i) {", "if was != deleted {", "TestHealOfWhatWentAlong"},
	{"look behind an early end", "batch.go", "if !ended && len(r.recent) > 0 {", "if false && !ended {", "TestHealWhenInUseFails|TestHealBehindAPanic"},
	{"what was found though a look failed", "look.go", "failed, needs = r.lookFailed(ctx, err), r.anything()", "return nil, r.lookFailed(ctx, err)", "TestLookThatFails"},
	{"a program that fails names not all that runs", "inusetext.go", "if err := end(); err != nil {", "if err := end(); err != nil && false {", "TestInUseOfAProgramThatFails"},
	{"contents are cached by their kind", "read.go", " && b.Kind == graph.KindOf(n.mediaType)", "", "TestCacheOfOtherMediaTypes"},
}

func table() (all []mutate.Guard) {
	for _, g := range guards {
		all = append(all, mutate.Guard{Name: g.name, File: g.file, Line: g.line, Broken: g.broken, Test: g.test})
	}
	return all
}

func TestGuardsAreThere(t *testing.T) {
	t.Parallel()
	mutate.Check(t, table())
}

func TestMutations(t *testing.T) {
	t.Parallel()
	mutate.Run(t, table(), "-retention.cases=150")
}

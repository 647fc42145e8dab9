package mutate_test

// acrGuards are those of single calls.
var acrGuards = in("../../../acr", []guard{
	{"a manifest has its digest", "manifest.go", "d != \"\" && computed != d {", "false {", "TestGetManifestVerifies"},
	{"a manifest is the one that was asked for", "manifest.go", "case want != \"\" && d.Digest != \"\" && d.Digest != want && sameAlgorithm(d.Digest, want):", "case false:", "TestHeadManifestOfAnother"},
	{"a put whose reply was lost is looked for", "manifestput.go", "if tries.Doubtful && !incomplete && ctx.Err() == nil {", "if tries.Doubtful && false {", "TestPutManifestFaults"},
	{"to delete what is not there is an error", "reply.go", "ok && tries.Doubtful && refusal.Code", "ok && (tries.Doubtful || true) && refusal.Code", "TestDelete"},
	{"a deletion whose reply was lost is no error", "reply.go", "ok && tries.Doubtful && refusal.Code", "ok && tries.Doubtful && false && refusal.Code", "TestDelete"},
	{"IfAbsent moves no tag", "manifestput.go", "case !p.hasDigest(on):", "case false:", "TestPutManifestIfAbsent"},
	{"IfAbsent moves no tag in quarantine", "manifestput.go", "on, err = p.quarantined(ctx)", "on, err = \"\", nil", "TestPutManifestIfAbsentQuarantine"},
	{"IfAbsent needs an answer", "manifestput.go", "\tdefault:\n\t\treturn \"\", err\n", "\tdefault:\n\t\treturn \"\", nil\n", "TestPutManifestIfAbsentElsewhere"},
	{"the registry stored what was sent", "manifestput.go", "if err == nil && stored != \"\" && !p.hasDigest(stored) {", "if false {", "TestPutManifestFaults|TestStatedDigests"},
	{"an upload resumes with content of the same size", "uploadoptions.go", "if cp.Size > 0 && src.size != transfer.Unknown && src.size != cp.Size {", "if false {", "TestUploadResumeOfChangedFile"},
	{"an upload resumes with the same file", "uploadoptions.go", "!now.IsZero() && !cp.Modified.IsZero() && !now.Equal(cp.Modified)", "now.IsZero() && false", "TestUploadResumeOfChangedFile"},
	{"a list that leads back ends", "list.go", "if _, seen := w.seen[mark]; seen {", "if false {", "TestListFaults"},
	{"the order of a list is that of each page", "list.go", "\tnext.RawQuery = keepQuery(next.RawQuery, w.keep)\n", "", "TestListKeepsFilter"},
})

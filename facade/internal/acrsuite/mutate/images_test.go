package mutate_test

// imagesGuards are those of whole images.
var imagesGuards = in("../../../images", []guard{
	{"content has its digest", "reader.go", "case err == io.EOF && !v.verifier.Verified():", "case false:", "TestCopyLyingSource|TestLayoutPush|TestRepositoryReadsAndWrites"},
	{"content is not longer than stated", "reader.go", "case v.left < 0:", "case false:", "TestCopyLyingSource|TestLayoutPush"},
	{"content does not end early", "reader.go", "case err == io.EOF && v.left > 0:", "case false:", "TestCopyLyingSource|TestLayoutPush"},
	{"the tag is set last", "job.go", "{j.prepare, j.sendBlobs, j.putManifests, j.verify, j.setTags, j.protect}", "{j.prepare, j.sendBlobs, j.setTags, j.putManifests, j.verify, j.protect}", "TestPushInterrupted|TestCopyInterrupted"},
	{"blobs come before manifests", "job.go", "{j.prepare, j.sendBlobs, j.putManifests, j.verify, j.setTags, j.protect}", "{j.prepare, j.putManifests, j.sendBlobs, j.verify, j.setTags, j.protect}", "TestCopyPutsInOrder"},
	{"images come before their index", "put.go", "wave = max(wave, before+1)", "wave = max(wave, before)", "TestCopyPutsInOrder"},
	{"a signature's tag comes before the image's", "ask.go", "case isA && !isB:\n\t\t\treturn -1", "case isA && !isB:\n\t\t\treturn 1", "TestCopySignatureComesFirst"},
	{"IfAbsent moves no tag", "ask.go", "if j.IfAbsent && !j.byDigest[t.To].is(d) {", "if false {", "TestCopyIfAbsent"},
	{"what the target has lost is sent again", "put.go", "\tif m.healed {", "\tif true {", "TestCopyHeals"},
	{"a lock is read back", "protect.go", "if got.Attributes.DeleteEnabled || got.Attributes.WriteEnabled {", "if got.Attributes.DeleteEnabled && false {", "TestProtect"},
	{"a lock of a tag is read back", "protect.go", "case got.Attributes.DeleteEnabled || got", "case false && got", "TestProtectTag"},
	{"a tag that moved is not protected", "protect.go", "case got.Digest != p.Digest:", "case false:", "TestProtectTag"},
	{"a file has its name when it is whole", "layoutdir.go", "if err = errors.Join(err, f.Close()); err != nil {", "if err = errors.Join(err, f.Close()); false {", "TestPullFullDisk|TestLayoutPush|TestPullInterrupted"},
	{"no link is followed to a file", "layoutdir.go", "if !before.Mode().IsRegular() {", "if false {", "TestLayoutLinks"},
	{"no link is followed to a directory", "layoutdir.go", "if !info.IsDir() {", "if false {", "TestLayoutLinks"},
	{"a blob of a layout is hashed before it is used", "layoutblob.go", "if !verifier.Verified() {", "if false {", "TestLayoutHashesBeforeReuse"},
	{"a manifest of a layout has its digest", "layoutblob.go", "if d.Digest.Algorithm().FromBytes(content) != d.Digest {", "if false {", "TestLayoutManifestOfOther"},
	{"a manifest of a foreign source has its digest", "read.go", "if err == nil && d.Digest.Algorithm().FromBytes(content) != d.Digest {", "if false {", "TestCopyLyingSource"},
	{"manifests are bounded in size", "read.go", "j.held > maxManifestBytes {", "false {", "TestCopyTooMuch"},
	{"a tree is bounded in size", "tree.go", "if t.nodes++; t.nodes > maxTreeNodes {", "if t.nodes++; false {", "TestTreeTooLarge"},
	{"what is missing counts in a tree", "tree.go", "Missing: true}, t.count()", "Missing: true}, nil", "TestTreeTooLarge"},
	{"foreign layers are left out", "read.go", "if graph.IsForeign(d.MediaType) && !j.Foreign {", "if false {", "TestCopyForeignLayers"},
	{"an archive does not fill the disk", "archive.go", "if out > growthAbove && out > maxGrowth*in {", "if out > growthAbove && out > 1<<20*in {", "TestArchiveBomb"},
	{"one process changes an index at a time", "layoutindex.go", "unlock, err := l.dir.lock(ctx)", "unlock, err := func() {}, error(nil)", "TestLayoutWriters"},
})

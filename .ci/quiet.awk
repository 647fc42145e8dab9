# Reads `go test -v` and prints what a reader wants: the verdict of each package, skips with their reasons and what the
# suites report; of a package that failed everything but what the passing tests said.
function flush_package(failed_package,    i) {
	if (failed_package) {
		for (i = 1; i <= lines; i++)
			if (!(owner[i] in good)) print line[i]
	} else {
		for (i = 1; i <= notes; i++) print note[i]
	}
	lines = notes = 0
	current = ""
	split("", good)
	split("", said)
}
/^=== (RUN|PAUSE|CONT|NAME)/ { current = $3; next }
/^PASS$/                     { next }
/\[no test files\]/          { next }
/^[[:space:]]*--- PASS/      { passed++; good[$3]; next }
/contract: .*exchanges held/ { note[++notes] = substr($0, index($0, "contract:")) }
/^(attacks refused|faults survived|secrets|registries:|emulator:|upload:|download:|retention:|model:|mutation:)/ { note[++notes] = $0; next }
/^[[:space:]]*--- FAIL/      { failed++ }
/^[[:space:]]*--- SKIP/      { skipped++; note[++notes] = $0; if (said[$3] != "") note[++notes] = said[$3] }
/^[[:space:]]+[A-Za-z0-9_]+\.go:[0-9]+: /  { said[current] = $0 }
/^(ok|FAIL)[[:space:]]/      { flush_package($1 == "FAIL"); print; fflush(); next }
                             { line[++lines] = $0; owner[lines] = /^    / && !/^[[:space:]]*---/ ? current : "" }
END {
	flush_package(1)
	printf "%d tests passed, %d skipped, %d failed\n", passed, skipped, failed
}

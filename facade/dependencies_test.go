package facade_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// licences are those that a module may have, by words of their texts. Some modules have two.
var licences = []struct{ name, words string }{
	{"Apache-2.0", "Apache License"},
	{"Apache-2.0", "The Apache 2.0 license"},
	{"BSD", "Redistribution and use in source and binary forms"},
	{"MIT", "Permission is hereby granted, free of charge"},
}

// DEPENDENCIES.md is what an importer sees: every required module, its version, its licence, and which packages link it.
func TestDependenciesAreListed(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("the table is that of a build for Linux")
	}
	page := read(t, "DEPENDENCIES.md")
	rows := map[string][]string{}
	for _, m := range regexp.MustCompile(`(?m)^\| (\S+) \| (\S+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$`).FindAllStringSubmatch(page, -1) {
		rows[m[1]] = m[2:]
	}
	delete(rows, "module")
	linked := linkedModules(t)
	required := requiredModules(t)
	for _, name := range slices.Sorted(maps.Keys(required)) {
		want := []string{required[name], licenceOf(t, name), strings.Join(linked[name], ", ")}
		if want[2] == "" {
			want[2] = "-"
		}
		row := rows[name]
		if row == nil {
			t.Errorf("a row with a reason is missing: | %s | %s | ...", name, strings.Join(want, " | "))
			continue
		}
		if !slices.Equal(row[:3], want) {
			t.Errorf("%s is listed as %q, it is %q", name, row[:3], want)
		}
		if strings.TrimSpace(row[3]) == "" {
			t.Errorf("%s has no reason", name)
		}
	}
	for name := range rows {
		if required[name] == "" {
			t.Errorf("%s is listed, and not required", name)
		}
	}
	for _, p := range apiPackages {
		n := 0
		name := p[strings.LastIndex(p, "/")+1:]
		for _, by := range linked {
			if slices.Contains(by, name) {
				n++
			}
		}
		if says := regexp.MustCompile(`\*\*` + name + `\*\* (\d+)`).FindStringSubmatch(page); says == nil || says[1] != fmt.Sprint(n) {
			t.Errorf("%s links %d modules, the page says %q", name, n, says)
		}
	}
}

func requiredModules(t *testing.T) map[string]string {
	t.Helper()
	var file struct {
		Require []struct{ Path, Version string }
	}
	out, err := exec.CommandContext(t.Context(), "go", "mod", "edit", "-json", "../go.mod").Output()
	if err == nil {
		err = json.Unmarshal(out, &file)
	}
	if err != nil {
		t.Fatal(err)
	}
	required := map[string]string{}
	for _, r := range file.Require {
		required[r.Path] = r.Version
	}
	return required
}

// linkedModules returns for each module the packages of users that are built from it, or "programs" if only those are.
func linkedModules(t *testing.T) map[string][]string {
	t.Helper()
	linked := map[string][]string{}
	deps := func(pkg string) []string {
		out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", pkg).Output()
		if err != nil {
			t.Fatal(err)
		}
		all := strings.Fields(string(out))
		slices.Sort(all)
		return slices.DeleteFunc(slices.Compact(all), func(m string) bool { return m == module })
	}
	for _, p := range apiPackages {
		for _, m := range deps(p) {
			linked[m] = append(linked[m], p[strings.LastIndex(p, "/")+1:])
		}
	}
	for _, m := range deps(cmdPkg + "/...") {
		if linked[m] == nil {
			linked[m] = []string{"programs"}
		}
	}
	return linked
}

// licenceOf reads the licence of a module from its sources.
func licenceOf(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", name).Output()
	dir := strings.TrimSpace(string(out))
	if err != nil {
		t.Fatal(err)
	}
	if dir == "" {
		t.Skipf("the sources of %s are not here: run make modules", name)
	}
	files, err := filepath.Glob(filepath.Join(dir, "LICEN[SC]E*"))
	if err != nil || len(files) == 0 {
		return "none found"
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	flat := strings.Join(strings.Fields(string(text)), " ")
	var found []string
	for _, l := range licences {
		if strings.Contains(flat, l.words) && !slices.Contains(found, l.name) {
			found = append(found, l.name)
		}
	}
	return strings.Join(found, " and ")
}

// Command rowbook makes what follows from the list of rows and from a whole test run:
//
//	rowbook -table facade/RELIABILITY.md   writes the table of rows into the file
//	rowbook -figures facade/RELIABILITY.md writes the figures into the file, each from a run of its command
//	rowbook -totals DIR                    prints the totals that the packages of a run left, and fails unless they are complete
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"regexp"

	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

func main() {
	table := flag.String("table", "", "file whose table of rows is written")
	page := flag.String("figures", "", "file whose table of figures is written")
	which := flag.String("run", ".", "names of the figures to run, as a regular expression")
	totals := flag.String("totals", "", "directory of the totals that are summed")
	flag.Parse()
	var err error
	switch {
	case *table != "":
		err = write(*table)
	case *page != "":
		var names *regexp.Regexp
		if names, err = regexp.Compile(*which); err == nil {
			err = writeFigures(context.Background(), *page, figures, names)
		}
	case *totals != "":
		err = sum(*totals)
	default:
		flag.Usage()
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func write(name string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	with, err := acrsuite.WithTable(text)
	if err != nil || bytes.Equal(with, text) {
		return err
	}
	return os.WriteFile(name, with, 0o600) //nolint:gosec // the file that the caller names
}

func sum(dir string) error {
	t, err := acrsuite.Sum(dir)
	if err != nil {
		return err
	}
	if err := t.Print(os.Stdout); err != nil {
		return err
	}
	return t.CheckAll()
}

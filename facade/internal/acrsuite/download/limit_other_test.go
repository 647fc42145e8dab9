//go:build !unix

package download_test

import "errors"

func limitFiles(uint64) error { return errors.ErrUnsupported }

func makePipe(string) error { return errors.ErrUnsupported }

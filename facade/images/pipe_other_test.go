//go:build !unix

package images_test

import "errors"

func makePipe(string) error { return errors.ErrUnsupported }

//go:build !unix || aix || solaris || illumos

package images

import (
	"context"
	"sync"
)

// openNonblock is for systems whose pipes are not in the file system.
const openNonblock = 0

// lockName is the name of the lock file of other systems.
const lockName = ".index.json.lock"

var indexLock sync.Mutex

// lock waits until no other Layout of this process changes index.json. There are no locks between
// processes here.
func (d *layoutDir) lock(context.Context) (unlock func(), err error) {
	indexLock.Lock()
	return indexLock.Unlock, nil
}

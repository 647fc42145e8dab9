// Package upload tests that blobs and manifests arrive whatever goes wrong on the way, or fail with a clean error.
package upload

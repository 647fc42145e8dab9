// Package download tests that a blob arrives byte for byte whatever goes wrong on the way, or fails with a clean error and
// leaves nothing that could be taken for it.
package download

// Package match selects names of repositories and tags: by patterns that match whole names, by groups that a pattern
// captures, and by semantic versions.
package match

//go:build race

package images_test

const raceDetector = true

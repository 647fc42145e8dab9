package retention

func init() { //nolint:gochecknoinits // for all tests of the package
	onInvariant = func(text string) { panic(text) }
}

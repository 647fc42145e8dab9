// Package graph reads what a manifest needs: the manifests of an index, the config and layers of an image, the subject of a
// referrer, and the tags that belong to a digest by their name.
//
// It sends nothing and trusts nothing: content is bounded, a member that occurs twice counts in full, and a manifest of an
// unknown kind needs every digest that stands anywhere in it. Whoever deletes by this graph can therefore delete too little,
// but never what a manifest names.
package graph

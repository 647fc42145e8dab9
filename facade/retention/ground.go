package retention

// ground keeps what no rule leads to, though nothing that stays needs it: what stands alone, and manifests
// that belong to nothing but each other, such as an untagged index whose subject is one of its own images.
func (j *judge) ground() {
	for {
		led, all := j.led(), true
		for _, n := range j.nodes {
			if j.keptNodes[n.at] == nil && !led[n.at] {
				all = false
				j.keepNode(n, Reason{Code: KeptUnmatched, Text: "no rule deletes it"}) // K5, K10
			}
		}
		if all {
			return
		}
		j.close()
	}
}

// led returns the manifests that a Delete rule selects, and what would go along with them.
func (j *judge) led() nodeSet {
	led := make(nodeSet, len(j.nodes))
	var todo []*node
	add := func(n *node) {
		if j.keptNodes[n.at] == nil && !led[n.at] {
			led[n.at] = true
			todo = append(todo, n)
		}
	}
	for _, n := range j.nodes {
		if j.alone[n.at] != nil || j.exempt[n.at] || j.begun.nodes[n.digest] {
			add(n)
		}
	}
	for _, t := range j.tags {
		if j.matched[t.at] != nil || j.begun.tags[t.name] {
			add(t.node)
		}
	}
	for ; len(todo) > 0; todo = todo[1:] {
		n := todo[0]
		for _, v := range n.needs {
			add(v)
		}
		for _, v := range n.refers {
			add(v)
		}
		for _, t := range n.belongs {
			add(t.node)
		}
	}
	return led
}

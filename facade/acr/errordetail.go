package acr

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

const (
	maxDetail  = 256 // bytes of a detail that is shown
	maxDetails = 4   // how many are shown
)

// details returns the details of the entries as text, as far as they are short and say more than the message.
func (e *Error) details() string {
	var texts []string
	for _, d := range e.Details {
		text := detailText(d.Detail)
		if text == "" || len(text) > maxDetail || strings.Contains(e.Message, text) || slices.Contains(texts, text) {
			continue
		}
		if len(texts) == maxDetails {
			texts = append(texts, "...")
			break
		}
		texts = append(texts, text)
	}
	return shown(strings.Join(texts, "; "), (maxDetails+1)*maxDetail)
}

// detailText returns a JSON value as text: "name: value" for the members of an object. It is empty if the value says nothing.
func detailText(raw json.RawMessage) string {
	var value any
	if len(raw) > 2*maxDetail || json.Unmarshal(raw, &value) != nil {
		return ""
	}
	return plainValue(value)
}

func plainValue(value any) string {
	var texts []string
	switch v := value.(type) {
	case nil:
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if text := plainValue(v[name]); text != "" {
				texts = append(texts, name+": "+text)
			}
		}
	case []any:
		for _, item := range v {
			if text := plainValue(item); text != "" {
				texts = append(texts, text)
			}
		}
	default:
		texts = append(texts, fmt.Sprint(v))
	}
	return strings.Join(texts, ", ")
}

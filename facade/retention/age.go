package retention

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Age is a length of time in whole seconds, written as "30d", "2w", "36h" or "1d12h".
type Age time.Duration

// Units of Age: 30 * retention.Day.
const (
	Hour Age = Age(time.Hour)
	Day  Age = 24 * Hour
	Week Age = 7 * Day
)

const maxAge = 100 * 365 * Day

// errAge is wrapped by every error of ParseAge.
var errAge = errors.New("invalid age")

var ageUnits = map[byte]Age{'w': Week, 'd': Day, 'h': Hour, 'm': Age(time.Minute), 's': Age(time.Second)}

// ParseAge reads an age: whole numbers with the units w, d, h, m and s, each unit at most once and
// the longest first. There are no signs and no fractions, and the longest age is a hundred years.
// "0s" is a zero age.
func ParseAge(text string) (Age, error) {
	if text == "" {
		return 0, fmt.Errorf("%w: it is empty", errAge)
	}
	sum, last := Age(0), maxAge
	for rest := text; rest != ""; {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		if digits == 0 || digits > 10 {
			return 0, fmt.Errorf("%w %.40q: write a whole number of at most ten digits and a unit, such as 30d", errAge, text)
		}
		if digits == len(rest) {
			return 0, fmt.Errorf("%w %.40q: the unit is missing: w, d, h, m or s", errAge, text)
		}
		unit, ok := ageUnits[rest[digits]]
		if !ok || unit >= last {
			return 0, fmt.Errorf("%w %.40q: the units are w, d, h, m and s, in this order", errAge, text)
		}
		last = unit
		n := Age(0)
		for _, c := range rest[:digits] {
			n = n*10 + Age(c-'0')
		}
		if n > (maxAge-sum)/unit {
			return 0, fmt.Errorf("%w %.40q: more than a hundred years", errAge, text)
		}
		sum += n * unit
		rest = rest[digits+1:]
	}
	return sum, nil
}

// String returns the age as ParseAge reads it, such as "1d12h".
func (a Age) String() string {
	if a <= 0 {
		return "0s"
	}
	var b strings.Builder
	for _, u := range []struct {
		name string
		unit Age
	}{{"d", Day}, {"h", Hour}, {"m", Age(time.Minute)}, {"s", Age(time.Second)}} {
		if n := a / u.unit; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, u.name)
			a -= n * u.unit
		}
	}
	if b.Len() == 0 {
		return "0s"
	}
	return b.String()
}

// MarshalText writes the age as String does.
func (a Age) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads the age as ParseAge does. It refuses a zero age; in rules, use "any" or
// "noGrace" instead.
func (a *Age) UnmarshalText(text []byte) error {
	age, err := ParseAge(string(text))
	if err == nil && age == 0 {
		return fmt.Errorf("%w %.40q: an age of nothing is written as \"any\" or \"noGrace\"", errAge, text)
	}
	*a = age
	return err
}

// inDays is a length of time as a person reads it: "271d", "5h", "12m".
func inDays(d time.Duration) string {
	switch {
	case d >= 24*time.Hour:
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	case d >= time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	default:
		return fmt.Sprintf("%dm", max(0, d/time.Minute))
	}
}

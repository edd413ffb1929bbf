package config

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sosodev/duration"
)

const day = 24 * time.Hour

// units are the keys of a duration that is an object. A year and a month are as long as Backstage has them.
var units = []struct {
	name  string
	value time.Duration
}{
	{"years", 365 * day}, {"months", 30 * day}, {"weeks", 7 * day}, {"days", day},
	{"hours", time.Hour}, {"minutes", time.Minute}, {"seconds", time.Second}, {"milliseconds", time.Millisecond},
}

// words is a duration of one number and one unit ("5 minutes", "1.5h"), as the npm package ms reads it.
var words = regexp.MustCompile(`(?i)^(-?\d*\.?\d+) *(milliseconds?|msecs?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d|weeks?|w|months?|mo|years?|yrs?|y)$`)

var (
	errUnit     = errors.New(`must be a duration with a unit, such as 30s, 5m or {minutes: 5}`)
	errNegative = errors.New("must not be a negative duration")
	errTooLong  = errors.New("is too long a duration")
)

// textDuration reads `5m`, `1h30m`, `5 minutes` and `PT5M`.
func textDuration(text string) (time.Duration, error) {
	text = strings.TrimSpace(text)
	var d time.Duration
	if strings.HasPrefix(strings.TrimPrefix(text, "-"), "P") {
		iso, err := duration.Parse(text)
		if err != nil || !strings.ContainsAny(text, "0123456789") {
			return 0, fmt.Errorf("must be a duration: ISO 8601 writes them like PT5M or P2DT6H")
		}
		total := iso.Years*float64(365*day) + iso.Months*float64(30*day) + iso.Weeks*float64(7*day) + iso.Days*float64(day) +
			iso.Hours*float64(time.Hour) + iso.Minutes*float64(time.Minute) + iso.Seconds*float64(time.Second)
		if iso.Negative {
			total = -total
		}
		return whole(total)
	}
	if m := words.FindStringSubmatch(text); m != nil {
		n, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			return 0, errUnit
		}
		return whole(n * float64(unit(strings.ToLower(m[2]))))
	}
	d, err := time.ParseDuration(text)
	if err != nil || strings.Trim(text, "+-0123456789.") == "" {
		return 0, errUnit
	}
	return whole(float64(d))
}

func unit(word string) time.Duration {
	switch {
	case strings.HasPrefix(word, "mo"):
		return 30 * day
	case strings.HasPrefix(word, "mi") && !strings.HasPrefix(word, "mil"), word == "m":
		return time.Minute
	case strings.HasPrefix(word, "m"):
		return time.Millisecond
	}
	i := slices.IndexFunc(units, func(u struct {
		name  string
		value time.Duration
	}) bool {
		return u.name[0] == word[0]
	})
	return units[i].value
}

func whole(nanoseconds float64) (time.Duration, error) {
	if nanoseconds < 0 {
		return 0, errNegative
	}
	if nanoseconds >= math.MaxInt64 || math.IsNaN(nanoseconds) {
		return 0, errTooLong
	}
	return time.Duration(math.Round(nanoseconds)), nil
}

// duration decodes a duration. A plain number counts milliseconds where the field says so.
func (d *decoder) duration(value any, pointer string, f field) time.Duration {
	var result time.Duration
	var err error
	switch value := value.(type) {
	case string:
		if n, parseErr := strconv.ParseFloat(strings.TrimSpace(value), 64); parseErr == nil && f.milliseconds {
			result, err = whole(n * float64(time.Millisecond))
		} else {
			result, err = textDuration(value)
		}
	case int64, float64:
		if err = errUnit; f.milliseconds {
			n, _ := number(value)
			result, err = whole(n * float64(time.Millisecond))
		}
	case map[string]any:
		return d.objectDuration(value, pointer)
	default:
		err = fmt.Errorf("%w; is %s", errUnit, describe(value))
	}
	if err != nil {
		d.fail(pointer, "%s%s", err, d.shown(pointer, value))
	}
	return result
}

func (d *decoder) objectDuration(object map[string]any, pointer string) time.Duration {
	var total float64
	known := make([]string, 0, len(units))
	for _, u := range units {
		known = append(known, u.name)
		value, ok := object[u.name]
		if !ok {
			continue
		}
		n, ok := number(value)
		if !ok {
			d.fail(child(pointer, u.name), "must be a number, is %s", describe(value))
		}
		total += n * float64(u.value)
	}
	for name := range object {
		if !slices.Contains(known, name) {
			d.suggest(child(pointer, name), Nearest(name, known), "is not a unit of time: those are %s", strings.Join(known, ", "))
		}
	}
	if len(object) == 0 {
		d.fail(pointer, "must have at least one of %s", strings.Join(known, ", "))
	}
	result, err := whole(total)
	if err != nil {
		d.fail(pointer, "%s", err)
	}
	return result
}

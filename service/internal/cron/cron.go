// Package cron reads cron lines as Backstage does: five fields, or six with the seconds first, names of months and days, and presets.
package cron

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// Schedule is a cron line that fires again and again. Safe for concurrent use.
type Schedule struct{ inner cron.Schedule }

var parser = cron.NewParser(cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)

var presets = map[string]string{
	"@yearly":   "0 0 0 1 1 *",
	"@monthly":  "0 0 0 1 * *",
	"@weekly":   "0 0 0 * * 0",
	"@daily":    "0 0 0 * * *",
	"@hourly":   "0 0 * * * *",
	"@minutely": "0 * * * * *",
	"@secondly": "* * * * * *",
	"@weekdays": "0 0 0 * * 1-5",
	"@weekends": "0 0 0 * * 0,6",
}

// maxLength is longer than any line that means something.
const maxLength = 1000

// Parse reads a cron line. A line that never fires, such as one for the 30th of February, is an error.
func Parse(line string) (Schedule, error) {
	if len(line) > maxLength {
		return Schedule{}, fmt.Errorf("the cron line is longer than %d characters", maxLength)
	}
	text := strings.ToLower(strings.TrimSpace(line))
	if preset, ok := presets[text]; ok {
		text = preset
	}
	fields := strings.Fields(text)
	if len(fields) != 5 && len(fields) != 6 || strings.Contains(text, "=") {
		return Schedule{}, fmt.Errorf("cron line %q must have five fields (minute, hour, day of month, month, day of week), or six with "+
			"the second first", line)
	}
	last := &fields[len(fields)-1]
	week, err := sundays(*last)
	if err != nil {
		return Schedule{}, fmt.Errorf("cron line %q: %w", line, err)
	}
	*last = week
	inner, err := parser.Parse(strings.Join(fields, " "))
	if err != nil {
		return Schedule{}, fmt.Errorf("cron line %q: %w", line, err)
	}
	s := Schedule{inner: inner}
	if s.Next(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return Schedule{}, fmt.Errorf("cron line %q never fires: there is no such date", line)
	}
	return s, nil
}

// Next is the first time after t, in t's time zone.
func (s Schedule) Next(t time.Time) time.Time { return s.inner.Next(t) }

var weekRange = regexp.MustCompile(`^(\d)(?:-(\d))?(?:/(\d+))?$`)

// sundays writes the days of the week without a 7, which is another name of Sunday that the parser doesn't know.
func sundays(field string) (string, error) {
	if !strings.Contains(field, "7") {
		return field, nil
	}
	var days []string
	for part := range strings.SplitSeq(field, ",") {
		m := weekRange.FindStringSubmatch(part)
		if m == nil {
			days = append(days, part)
			continue
		}
		from, _ := strconv.Atoi(m[1])
		to, step := from, 1
		if m[2] != "" {
			to, _ = strconv.Atoi(m[2])
		} else if m[3] != "" {
			to = 7
		}
		if m[3] != "" {
			var err error
			if step, err = strconv.Atoi(m[3]); err != nil || step == 0 {
				return "", errors.New("the step of the days of the week must be 1 or more")
			}
		}
		if from > 7 || to > 7 || from > to {
			return "", fmt.Errorf("the days of the week are 0 to 7, lower ones first, not %s", part)
		}
		for day := from; day <= to; day += step {
			days = append(days, strconv.Itoa(day%7))
		}
	}
	return strings.Join(days, ","), nil
}

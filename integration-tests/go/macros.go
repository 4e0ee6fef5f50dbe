package main

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// A panel's query, as Grafana hands it to the plugin.
type panel struct {
	from, to time.Time
	interval time.Duration
}

var macro = regexp.MustCompile(`\$__(\w+)(?:\(([^)]*)\))?`)

// expand replaces the plugin's macros by the SQL that it makes of them.
func (p panel) expand(sql string) (string, error) {
	var failed error
	expanded := macro.ReplaceAllStringFunc(sql, func(found string) string {
		parts := macro.FindStringSubmatch(found)
		args := strings.Split(parts[2], ",")
		for i := range args {
			args[i] = strings.TrimSpace(args[i])
		}
		text, err := p.one(parts[1], args)
		if err != nil && failed == nil {
			failed = err
		}
		return text
	})
	return expanded, failed
}

func (p panel) one(name string, args []string) (string, error) {
	from, to := p.from.UTC().Format(time.RFC3339), p.to.UTC().Format(time.RFC3339)
	seconds := int64(p.interval.Seconds())
	switch name {
	case "timeFrom":
		return fmt.Sprintf("cast('%s' as timestamp)", from), nil
	case "timeTo":
		return fmt.Sprintf("cast('%s' as timestamp)", to), nil
	case "timeFilter":
		return fmt.Sprintf("%s >= '%s' AND %s <= '%s'", args[0], from, args[0], to), nil
	case "interval":
		return fmt.Sprintf("interval '%d second'", seconds), nil
	case "dateBin":
		return fmt.Sprintf("date_bin(interval '%d second', %s, timestamp '1970-01-01T00:00:00Z')", seconds, args[0]), nil
	case "dateBinAlias":
		return fmt.Sprintf("date_bin(interval '%d second', %s, timestamp '1970-01-01T00:00:00Z') as %s_binned", seconds, args[0], args[0]), nil
	case "timeGroup", "timeGroupAlias":
		if len(args) != 2 {
			return "", fmt.Errorf("%s takes a column and a unit", name)
		}
		return timeGroup(args[0], args[1], name == "timeGroupAlias")
	}
	return "", fmt.Errorf("unknown macro %s", name)
}

func timeGroup(column, unit string, alias bool) (string, error) {
	units := []string{"minute", "hour", "day", "month", "year"}
	for i, name := range units {
		if name != unit {
			continue
		}
		var parts []string
		for _, part := range units[i:] {
			text := fmt.Sprintf("datepart('%s', %s)", part, column)
			if alias {
				text += fmt.Sprintf(" as %s_%s", column, part)
			}
			parts = append(parts, text)
		}
		return strings.Join(parts, ","), nil
	}
	return "", fmt.Errorf("unknown unit %s", unit)
}

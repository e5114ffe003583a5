package alertmanagerexporter

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// The names of the record, as src/spanguard/semconv.py registers them.
const (
	eventName          = "spanguard.alert"
	attrName           = "spanguard.alert.name"
	attrSeverity       = "spanguard.alert.severity"
	attrState          = "spanguard.alert.state"
	attrStartsAt       = "spanguard.alert.starts_at"
	attrResendInterval = "spanguard.alert.resend_interval"
	attrSummary        = "spanguard.alert.summary"
	attrDescription    = "spanguard.alert.description"
	attrRunbookURL     = "spanguard.alert.runbook_url"
	attrLabelPrefix    = "spanguard.alert.label."

	resourceService     = "service.name"
	resourceEnvironment = "deployment.environment.name"

	stateFiring   = "firing"
	stateResolved = "resolved"
)

const (
	// Prometheus gives its own alerts the same reserve: three re-sends may get lost before an alert ends by itself.
	missedResends = 4

	defaultResendInterval = time.Minute
	// A wrong unit must not keep the alert of a dead process up for years.
	maxResendInterval = time.Hour
)

// alert is one element of the body of POST /api/v2/alerts.
type alert struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL,omitempty"`

	// said is when the application said so, and staleAfter when that would no longer be believed.
	said       time.Time
	staleAfter time.Time
	firing     bool
}

// alertFromRecord reads a record of the name spanguard.alert. The error names the attribute that is wrong, not its value.
func alertFromRecord(resource pcommon.Resource, record plog.LogRecord, traceURL string, now time.Time) (alert, error) {
	attributes := record.Attributes()
	if text(attributes, attrName) == "" {
		return alert{}, fmt.Errorf("the attribute %s is missing or empty", attrName)
	}
	state := text(attributes, attrState)
	if state != stateFiring && state != stateResolved {
		return alert{}, fmt.Errorf("the attribute %s is neither %s nor %s", attrState, stateFiring, stateResolved)
	}
	// A sender whose clock runs ahead would otherwise resolve in the future only, and outshout itself once it is corrected.
	said := earlier(timeOf(record, now), now)
	result := alert{
		Labels:      labels(resource, attributes),
		Annotations: annotations(record, traceURL),
		said:        said,
		staleAfter:  said.Add(missedResends * resendInterval(attributes)),
		firing:      state == stateFiring,
	}
	result.EndsAt = result.staleAfter
	if !result.firing {
		result.EndsAt = said
	}
	// Alertmanager refuses an alert that ends before it starts.
	result.StartsAt = earlier(startsAt(attributes, said), result.EndsAt)
	result.GeneratorURL = generatorURL(result.Annotations)
	return result, nil
}

// identity is what Alertmanager tells alerts apart by: all labels and nothing else.
func (a alert) identity() string {
	var identity strings.Builder
	for _, name := range slices.Sorted(maps.Keys(a.Labels)) {
		fmt.Fprintf(&identity, "%q=%q,", name, a.Labels[name])
	}
	return identity.String()
}

func labels(resource pcommon.Resource, attributes pcommon.Map) map[string]string {
	result := map[string]string{}
	own := map[string]string{
		"alertname":              text(attributes, attrName),
		"severity":               text(attributes, attrSeverity),
		"service_name":           text(resource.Attributes(), resourceService),
		"deployment_environment": text(resource.Attributes(), resourceEnvironment),
	}
	for _, key := range sortedKeys(attributes) {
		declared, isLabel := strings.CutPrefix(key, attrLabelPrefix)
		value := text(attributes, key)
		if !isLabel || value == "" {
			continue
		}
		name := labelName(declared)
		if _, taken := own[name]; taken {
			name = "exported_" + name
		}
		// Two names that fall together keep both values, as in Prometheus' translation of OTLP.
		if other, taken := result[name]; taken {
			value = other + ";" + value
		}
		result[name] = value
	}
	for name, value := range own {
		if value != "" {
			result[name] = value
		}
	}
	return result
}

// labelName turns any name into one that Prometheus takes: [a-zA-Z_][a-zA-Z0-9_]*, and without the reserved leading __.
func labelName(declared string) string {
	name := strings.Map(func(r rune) rune {
		if r == '_' || (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z') || (r >= '0' && r <= '9') {
			return r
		}
		return '_'
	}, declared)
	if strings.HasPrefix(name, "__") {
		name = "key" + name
	}
	if name == "" || (name[0] >= '0' && name[0] <= '9') {
		name = "key_" + name
	}
	return name
}

func annotations(record plog.LogRecord, traceURL string) map[string]string {
	result := map[string]string{}
	for name, key := range map[string]string{
		"summary": attrSummary, "description": attrDescription, "runbook_url": attrRunbookURL,
	} {
		if value := text(record.Attributes(), key); value != "" {
			result[name] = value
		}
	}
	if traceURL != "" && !record.TraceID().IsEmpty() {
		result["trace_url"] = strings.ReplaceAll(traceURL, traceIDPlaceholder, record.TraceID().String())
	}
	return result
}

// generatorURL is the link behind an alert's name: the trace, or else the runbook. Alertmanager refuses what is no URL.
func generatorURL(annotations map[string]string) string {
	for _, link := range []string{annotations["trace_url"], annotations["runbook_url"]} {
		if isWebURL(link) {
			return link
		}
	}
	return ""
}

func isWebURL(text string) bool {
	parsed, err := url.Parse(text)
	return err == nil && isWeb(parsed)
}

func timeOf(record plog.LogRecord, now time.Time) time.Time {
	for _, stamp := range []pcommon.Timestamp{record.Timestamp(), record.ObservedTimestamp()} {
		if stamp != 0 {
			return stamp.AsTime()
		}
	}
	return now
}

func startsAt(attributes pcommon.Map, otherwise time.Time) time.Time {
	value, present := attributes.Get(attrStartsAt)
	if !present || value.Type() != pcommon.ValueTypeInt || value.Int() <= 0 {
		return otherwise
	}
	return time.Unix(0, value.Int()).UTC()
}

func resendInterval(attributes pcommon.Map) time.Duration {
	seconds, err := number(attributes, attrResendInterval)
	// Written so that NaN, too, means the default.
	if err != nil || !(seconds > 0) {
		return defaultResendInterval
	}
	return time.Duration(min(seconds, maxResendInterval.Seconds()) * float64(time.Second))
}

func number(attributes pcommon.Map, key string) (float64, error) {
	value, present := attributes.Get(key)
	switch {
	case present && value.Type() == pcommon.ValueTypeDouble:
		return value.Double(), nil
	case present && value.Type() == pcommon.ValueTypeInt:
		return float64(value.Int()), nil
	}
	return 0, errors.New("no number")
}

func text(attributes pcommon.Map, key string) string {
	value, present := attributes.Get(key)
	if !present {
		return ""
	}
	return value.AsString()
}

func sortedKeys(attributes pcommon.Map) []string {
	keys := make([]string, 0, attributes.Len())
	for key := range attributes.All() {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func earlier(one, other time.Time) time.Time {
	if other.Before(one) {
		return other
	}
	return one
}

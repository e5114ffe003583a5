package alertmanagerexporter

import (
	"maps"
	"math"
	"regexp"
	"strings"
	"testing"
	"testing/quick"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

const traceTemplate = "http://jaeger.example/trace/{trace_id}"

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func convert(t *testing.T, state string, options ...recordOption) alert {
	t.Helper()
	result, err := convertOrFail(state, options...)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func convertOrFail(state string, options ...recordOption) (alert, error) {
	logs := plog.NewLogs()
	record := addAlert(logs, state, append([]recordOption{at(now), with(attrStartsAt, now.Add(-time.Minute).UnixNano())}, options...)...)
	return alertFromRecord(logs.ResourceLogs().At(0).Resource(), record, traceTemplate, now)
}

func TestLabelsComeFromTheRecordAndItsResource(t *testing.T) {
	got := convert(t, stateFiring).Labels
	want := map[string]string{
		"alertname": "DependencyUnavailable", "severity": "critical", "policy": "twitter_api",
		"service_name": "tge-monitor", "deployment_environment": "production",
	}
	if !maps.Equal(got, want) {
		t.Errorf("labels %v, want %v", got, want)
	}
}

func TestAnnotationsLinkToTheTraceAndTheRunbook(t *testing.T) {
	got := convert(t, stateFiring).Annotations
	want := map[string]string{
		"summary": "twitter_api is down", "description": "5 calls failed in a row.", "runbook_url": "https://example.org/runbook",
		"trace_url": "http://jaeger.example/trace/4bf92f3577b34da6a3ce929d0e0e4736",
	}
	if !maps.Equal(got, want) {
		t.Errorf("annotations %v, want %v", got, want)
	}
}

func TestAnAlertRaisedOutsideATraceHasNoTraceLink(t *testing.T) {
	got := convert(t, stateFiring, untraced)
	if link, present := got.Annotations["trace_url"]; present {
		t.Errorf("there is a link to no trace: %s", link)
	}
	if got.GeneratorURL != "https://example.org/runbook" {
		t.Errorf("generatorURL %q, want the runbook", got.GeneratorURL)
	}
}

func TestTheTraceIsTheGeneratorURLAndNeverALabel(t *testing.T) {
	got := convert(t, stateFiring)
	if got.GeneratorURL != got.Annotations["trace_url"] {
		t.Errorf("generatorURL %q", got.GeneratorURL)
	}
	for name, value := range got.Labels {
		if value == traceID.String() || name == "trace_id" || name == "trace_url" {
			t.Errorf("the trace is the label %s", name)
		}
	}
}

func TestARunbookThatIsNoURLIsKeptOutOfTheGeneratorURL(t *testing.T) {
	got := convert(t, stateFiring, untraced, with(attrRunbookURL, "see the wiki"))
	if got.GeneratorURL != "" {
		t.Errorf("generatorURL %q would make Alertmanager refuse the alert", got.GeneratorURL)
	}
}

func TestAbsentTextsAreAbsentAnnotations(t *testing.T) {
	got := convert(t, stateFiring, untraced, without(attrSummary), without(attrDescription), without(attrRunbookURL)).Annotations
	if len(got) != 0 {
		t.Errorf("annotations %v", got)
	}
}

func TestLabelNamesAreMadeOnesThatPrometheusTakes(t *testing.T) {
	for declared, want := range map[string]string{
		"policy": "policy", "http.status-code": "http_status_code", "2xx": "key_2xx", "__name__": "key__name__",
		"über": "_ber", "": "key_", "A1_b": "A1_b",
	} {
		if got := labelName(declared); got != want {
			t.Errorf("%q becomes %q, want %q", declared, got, want)
		}
	}
}

func TestEveryLabelNameBecomesOneThatPrometheusTakes(t *testing.T) {
	taken := regexp.MustCompile("^[a-zA-Z_][a-zA-Z0-9_]*$")
	isTaken := func(declared string) bool {
		name := labelName(declared)
		return taken.MatchString(name) && !strings.HasPrefix(name, "__") && labelName(name) == name
	}
	if err := quick.Check(isTaken, nil); err != nil {
		t.Error(err)
	}
}

func TestADeclaredLabelCannotReplaceTheAlertsOwn(t *testing.T) {
	got := convert(t, stateFiring, with("spanguard.alert.label.severity", "info"), with("spanguard.alert.label.service.name", "other")).Labels
	if got["severity"] != "critical" || got["exported_severity"] != "info" {
		t.Errorf("severity: %v", got)
	}
	if got["service_name"] != "tge-monitor" || got["exported_service_name"] != "other" {
		t.Errorf("service_name: %v", got)
	}
}

func TestLabelsThatFallTogetherKeepBothValues(t *testing.T) {
	got := convert(t, stateFiring, with("spanguard.alert.label.a.b", "one"), with("spanguard.alert.label.a-b", "two")).Labels
	if got["a_b"] != "two;one" {
		t.Errorf("a_b is %q", got["a_b"])
	}
}

func TestLabelsWithoutAValueAreLeftOut(t *testing.T) {
	got := convert(t, stateFiring, with("spanguard.alert.label.empty", ""), without(attrSeverity)).Labels
	for _, name := range []string{"empty", "severity"} {
		if _, present := got[name]; present {
			t.Errorf("the label %s is there: %v", name, got)
		}
	}
}

func TestAFiringAlertEndsFourResendIntervalsAfterItWasSaid(t *testing.T) {
	for name, check := range map[string]struct {
		interval recordOption
		want     time.Duration
	}{
		"seconds":      {with(attrResendInterval, 60.0), 4 * time.Minute},
		"a fraction":   {with(attrResendInterval, 0.5), 2 * time.Second},
		"an integer":   {with(attrResendInterval, int64(30)), 2 * time.Minute},
		"absent":       {without(attrResendInterval), 4 * time.Minute},
		"zero":         {with(attrResendInterval, 0.0), 4 * time.Minute},
		"negative":     {with(attrResendInterval, -5.0), 4 * time.Minute},
		"no number":    {with(attrResendInterval, "60"), 4 * time.Minute},
		"NaN":          {with(attrResendInterval, math.NaN()), 4 * time.Minute},
		"infinite":     {with(attrResendInterval, math.Inf(1)), 4 * time.Hour},
		"a wrong unit": {with(attrResendInterval, 6e10), 4 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			if got := convert(t, stateFiring, check.interval).EndsAt.Sub(now); got != check.want {
				t.Errorf("ends after %s, want %s", got, check.want)
			}
		})
	}
}

func TestAResolvedAlertEndsWhenItWasSaid(t *testing.T) {
	said := now.Add(-10 * time.Second)
	if got := convert(t, stateResolved, at(said)).EndsAt; !got.Equal(said) {
		t.Errorf("ends at %s, want %s", got, said)
	}
}

func TestASenderWhoseClockIsAheadDoesNotResolveInTheFuture(t *testing.T) {
	if got := convert(t, stateResolved, at(now.Add(time.Hour))).EndsAt; !got.Equal(now) {
		t.Errorf("ends at %s, want %s", got, now)
	}
}

func TestAnAlertNeverStartsAfterItsEnd(t *testing.T) {
	got := convert(t, stateResolved, with(attrStartsAt, now.Add(time.Hour).UnixNano()))
	if got.StartsAt.After(got.EndsAt) {
		t.Errorf("starts at %s, ends at %s", got.StartsAt, got.EndsAt)
	}
}

func TestTheStartIsTheOneOfTheRecord(t *testing.T) {
	if got := convert(t, stateFiring).StartsAt; !got.Equal(now.Add(-time.Minute)) {
		t.Errorf("starts at %s", got)
	}
	for name, wrong := range map[string]recordOption{
		"absent": without(attrStartsAt), "text": with(attrStartsAt, "today"), "negative": with(attrStartsAt, int64(-1)),
	} {
		if got := convert(t, stateFiring, wrong).StartsAt; !got.Equal(now) {
			t.Errorf("%s: starts at %s, want the record's time", name, got)
		}
	}
}

func TestARecordWithoutATimeTakesTheObservedOneOrNow(t *testing.T) {
	observed := now.Add(-3 * time.Second)
	noTime := at(time.Unix(0, 0))
	if got := convert(t, stateResolved, noTime).EndsAt; !got.Equal(now) {
		t.Errorf("ends at %s, want now", got)
	}
	seen := func(record plog.LogRecord) { record.SetObservedTimestamp(pcommon.NewTimestampFromTime(observed)) }
	if got := convert(t, stateResolved, noTime, seen).EndsAt; !got.Equal(observed) {
		t.Errorf("ends at %s, want %s", got, observed)
	}
}

func TestARecordThatIsNoAlertIsRefusedByTheNameOfWhatIsWrong(t *testing.T) {
	for attribute, wrong := range map[string]recordOption{
		attrName: without(attrName), attrState: with(attrState, "pending"),
	} {
		_, err := convertOrFail(stateFiring, wrong)
		if err == nil || !contains(err.Error(), attribute) || contains(err.Error(), "pending") {
			t.Errorf("%s: %v", attribute, err)
		}
	}
}

func TestTheIdentityIsTheLabelsAlone(t *testing.T) {
	one := convert(t, stateFiring)
	if other := convert(t, stateResolved, at(now.Add(-time.Second)), with(attrSummary, "else")); one.identity() != other.identity() {
		t.Error("the same labels make two alerts")
	}
	if other := convert(t, stateFiring, with("spanguard.alert.label.policy", "news")); one.identity() == other.identity() {
		t.Error("two labels make one alert")
	}
}

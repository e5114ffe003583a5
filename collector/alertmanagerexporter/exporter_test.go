package alertmanagerexporter

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumererror"
)

func TestAFiringAndAResolvedAlertAreSent(t *testing.T) {
	alertmanager := newPeer(t)
	exporter := startSimple(t, alertmanager.URL+"/")
	exporter.consume(t, anAlert(stateFiring))
	firing := alertmanager.next(t)
	if len(firing) != 1 || firing[0].Labels["alertname"] != "DependencyUnavailable" || !firing[0].EndsAt.After(time.Now()) {
		t.Fatalf("sent %+v", firing)
	}
	exporter.consume(t, anAlert(stateResolved))
	resolved := alertmanager.next(t)
	if len(resolved) != 1 || resolved[0].EndsAt.After(time.Now()) || resolved[0].identity() != firing[0].identity() {
		t.Fatalf("sent %+v", resolved)
	}
}

func TestOtherRecordsPassByUncounted(t *testing.T) {
	alertmanager := newPeer(t)
	exporter := start(t, alertmanager.URL, componenttest.NewNopHost(), nil)
	logs := anAlert(stateFiring, named("spanguard.retry.exhausted"))
	addAlert(logs, stateFiring)
	addAlert(logs, stateFiring, named(""), with("spanguard.alert.label.policy", "other"))
	exporter.consume(t, anAlert(stateFiring, named("something.else")))
	exporter.consume(t, logs)
	if sent := alertmanager.next(t); len(sent) != 1 || sent[0].Labels["policy"] != "twitter_api" {
		t.Errorf("sent %+v", sent)
	}
	exporter.stop(t)
	sent, err := exporter.telemetry.GetMetric("otelcol_exporter_sent_log_records")
	if err != nil {
		t.Fatal(err)
	}
	if total := sum(sent); total != 1 {
		t.Errorf("%d records are counted as sent, want the alert alone", total)
	}
	for i, want := range []string{"spanguard.retry.exhausted", "spanguard.alert", ""} {
		record := logs.ResourceLogs().At(i).ScopeLogs().At(0).LogRecords().At(0)
		if record.EventName() != want || record.Attributes().Len() == 0 {
			t.Error("the records of the other exporters were changed")
		}
	}
}

func TestA4xxIsNotTriedAgain(t *testing.T) {
	alertmanager := newPeer(t)
	alertmanager.answerWith(http.StatusBadRequest)
	exporter := startSimple(t, alertmanager.URL)
	err := exporter.ConsumeLogs(context.Background(), anAlert(stateFiring))
	if err == nil || !consumererror.IsPermanent(err) {
		t.Fatalf("the error is not permanent: %v", err)
	}
	if attempts := len(alertmanager.requests); attempts != 1 {
		t.Errorf("%d attempts", attempts)
	}
	if count := exporter.dropped(t, "refused"); count != 1 {
		t.Errorf("%d alerts counted as refused", count)
	}
}

func TestOtherFailuresAreTriedAgain(t *testing.T) {
	for _, status := range []int{http.StatusInternalServerError, http.StatusServiceUnavailable, http.StatusTooManyRequests, http.StatusRequestTimeout} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			alertmanager := newPeer(t)
			alertmanager.answerWith(status, status, http.StatusOK)
			startSimple(t, alertmanager.URL).consume(t, anAlert(stateFiring))
			if attempts := len(alertmanager.requests); attempts != 3 {
				t.Errorf("%d attempts, want 3", attempts)
			}
		})
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	alertmanager := newPeer(t)
	var answers []time.Time
	alertmanager.answerBy(func([]alert) (int, http.Header) {
		answers = append(answers, time.Now())
		if len(answers) > 1 {
			return http.StatusOK, nil
		}
		return http.StatusServiceUnavailable, http.Header{"Retry-After": {"1"}}
	})
	startSimple(t, alertmanager.URL).consume(t, anAlert(stateFiring))
	if waited := answers[1].Sub(answers[0]); waited < time.Second {
		t.Errorf("tried again after %s, want a second", waited)
	}
}

func TestRetryAfterIsReadAsSecondsOrDate(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"": 0, "soon": 0, "-5": 0, "7": 7 * time.Second, now.Add(time.Minute).Format(http.TimeFormat): time.Minute,
	} {
		if got := retryAfter(header, now); got != want {
			t.Errorf("%q means %s, want %s", header, got, want)
		}
	}
}

func TestAFiringAlertWhoseEndHasPassedIsDropped(t *testing.T) {
	alertmanager := newPeer(t)
	exporter := startSimple(t, alertmanager.URL)
	exporter.consume(t, anAlert(stateFiring, at(time.Now().Add(-5*time.Minute))))
	if sent := len(alertmanager.requests); sent != 0 {
		t.Error("it was sent")
	}
	if count := exporter.dropped(t, "expired"); count != 1 {
		t.Errorf("%d alerts counted as expired", count)
	}
	if exporter.logs.FilterMessage("Alert dropped.").Len() != 1 {
		t.Error("nothing is logged")
	}
}

func TestAnAlertThatExpiresBetweenTwoAttemptsIsDropped(t *testing.T) {
	alertmanager := newPeer(t)
	alertmanager.answerWith(http.StatusServiceUnavailable)
	exporter := startSimple(t, alertmanager.URL)
	exporter.consume(t, anAlert(stateFiring, with(attrResendInterval, 0.05)))
	if count := exporter.dropped(t, "expired"); count != 1 {
		t.Errorf("%d alerts counted as expired", count)
	}
	if len(alertmanager.requests) == 0 {
		t.Error("there was no attempt")
	}
}

func TestAResolvedAlertIsSentHoweverLate(t *testing.T) {
	alertmanager := newPeer(t)
	startSimple(t, alertmanager.URL).consume(t, anAlert(stateResolved, at(time.Now().Add(-time.Hour))))
	if sent := alertmanager.next(t); len(sent) != 1 {
		t.Errorf("sent %+v", sent)
	}
}

func TestAnOlderRecordNeverUndoesANewerOne(t *testing.T) {
	alertmanager := newPeer(t)
	exporter := startSimple(t, alertmanager.URL)
	exporter.consume(t, anAlert(stateResolved))
	alertmanager.next(t)
	exporter.consume(t, anAlert(stateFiring, at(time.Now().Add(-30*time.Second))))
	if len(alertmanager.requests) != 0 {
		t.Error("a late firing record undid the resolved one")
	}
	exporter.consume(t, anAlert(stateFiring))
	if sent := alertmanager.next(t); !sent[0].EndsAt.After(time.Now()) {
		t.Error("a new firing record was held back")
	}
}

func TestASenderWhoseClockWasAheadIsHeardAgainOnceItIsCorrected(t *testing.T) {
	alertmanager := newPeer(t)
	exporter := startSimple(t, alertmanager.URL)
	exporter.consume(t, anAlert(stateFiring, at(time.Now().Add(time.Hour))))
	if sent := alertmanager.next(t); sent[0].EndsAt.After(time.Now().Add(4 * time.Minute)) {
		t.Errorf("the alert would outlive its process until %s", sent[0].EndsAt)
	}
	exporter.consume(t, anAlert(stateResolved))
	if sent := alertmanager.next(t); sent[0].EndsAt.After(time.Now()) {
		t.Errorf("sent %+v", sent)
	}
}

func TestTheLastWordOfABatchCounts(t *testing.T) {
	alertmanager := newPeer(t)
	logs := anAlert(stateResolved)
	addAlert(logs, stateFiring, at(time.Now().Add(-time.Second)))
	startSimple(t, alertmanager.URL).consume(t, logs)
	if sent := alertmanager.next(t); len(sent) != 1 || sent[0].EndsAt.After(time.Now()) {
		t.Errorf("sent %+v", sent)
	}
}

func TestARefusedAlertCostsItselfAlone(t *testing.T) {
	alertmanager := newPeer(t)
	alertmanager.answerBy(func(alerts []alert) (int, http.Header) {
		for _, one := range alerts {
			if one.Labels["policy"] == "poison" {
				return http.StatusBadRequest, nil
			}
		}
		return http.StatusOK, nil
	})
	logs := anAlert(stateFiring, with("spanguard.alert.label.policy", "first"))
	addAlert(logs, stateFiring, with("spanguard.alert.label.policy", "poison"))
	addAlert(logs, stateFiring, with("spanguard.alert.label.policy", "last"))
	exporter := startSimple(t, alertmanager.URL)
	if err := exporter.ConsumeLogs(context.Background(), logs); err == nil {
		t.Error("the loss is not reported")
	}
	if batch := alertmanager.next(t); len(batch) != 3 {
		t.Fatalf("first sent %+v", batch)
	}
	for _, policy := range []string{"first", "poison", "last"} {
		if sent := alertmanager.next(t); len(sent) != 1 || sent[0].Labels["policy"] != policy {
			t.Errorf("sent %+v, want %s alone", sent, policy)
		}
	}
	if count := exporter.dropped(t, "refused"); count != 1 {
		t.Errorf("%d alerts counted as refused", count)
	}
}

func TestABatchOfWhichOneIsRefusedIsTriedAgainWhenAlertmanagerFails(t *testing.T) {
	alertmanager := newPeer(t)
	alertmanager.answerWith(http.StatusBadRequest, http.StatusServiceUnavailable, http.StatusOK)
	logs := anAlert(stateFiring, with("spanguard.alert.label.policy", "first"))
	addAlert(logs, stateFiring, with("spanguard.alert.label.policy", "last"))
	exporter := startSimple(t, alertmanager.URL)
	exporter.consume(t, logs)
	for i, want := range []int{2, 1, 2} {
		if sent := alertmanager.next(t); len(sent) != want {
			t.Errorf("attempt %d sent %d alerts, want %d", i+1, len(sent), want)
		}
	}
	if count := exporter.dropped(t, "refused"); count != 0 {
		t.Errorf("%d alerts counted as refused", count)
	}
}

func TestWhatGotThroughBesideARefusedAlertIsNotUndoneEither(t *testing.T) {
	alertmanager := newPeer(t)
	alertmanager.answerWith(http.StatusBadRequest, http.StatusOK, http.StatusBadRequest, http.StatusOK)
	logs := anAlert(stateResolved)
	addAlert(logs, stateFiring, with("spanguard.alert.label.policy", "poison"))
	exporter := startSimple(t, alertmanager.URL)
	if err := exporter.ConsumeLogs(context.Background(), logs); err == nil {
		t.Fatal("the loss is not reported")
	}
	for range 3 {
		alertmanager.next(t)
	}
	exporter.consume(t, anAlert(stateFiring, at(time.Now().Add(-30*time.Second))))
	if len(alertmanager.requests) != 0 {
		t.Error("a late firing record undid the resolved one")
	}
}

func TestAnUnreadableRecordCostsItselfAlone(t *testing.T) {
	alertmanager := newPeer(t)
	logs := anAlert(stateFiring, without(attrName))
	addAlert(logs, stateFiring)
	exporter := startSimple(t, alertmanager.URL)
	exporter.consume(t, logs)
	if sent := alertmanager.next(t); len(sent) != 1 {
		t.Errorf("sent %+v", sent)
	}
	if count := exporter.dropped(t, "invalid"); count != 1 {
		t.Errorf("%d alerts counted as invalid", count)
	}
}

func TestNothingThatAnAlertSaysIsLogged(t *testing.T) {
	const secret = "hunter2-jane@example.org"
	private := []recordOption{with(attrSummary, secret), with(attrDescription, secret), with("spanguard.alert.label.user", secret)}
	alertmanager := newPeer(t)
	// The peer's answer repeats the request, as Alertmanager does in part.
	alertmanager.answerWith(http.StatusBadRequest, http.StatusServiceUnavailable, http.StatusBadRequest)
	exporter := start(t, alertmanager.URL, componenttest.NewNopHost(), nil)
	exporter.consume(t, anAlert(stateFiring, private...))
	exporter.consume(t, anAlert(stateResolved, private...))
	exporter.consume(t, anAlert(stateFiring, append(private, at(time.Now().Add(-time.Hour)))...))
	exporter.consume(t, anAlert(secret, private...))
	for range 3 {
		alertmanager.next(t)
	}
	exporter.stop(t)
	if exporter.logs.FilterMessage("Alert dropped.").Len() != 4 {
		t.Errorf("the four drops are not logged: %+v", exporter.logs.All())
	}
	for _, entry := range exporter.logs.All() {
		for name, value := range entry.ContextMap() {
			if contains(fmt.Sprint(value), secret) || contains(entry.Message, secret) {
				t.Errorf("the log %q repeats in %s what an alert says", entry.Message, name)
			}
		}
	}
}

func TestAnUnreachableAlertmanagerIsTriedAgain(t *testing.T) {
	alertmanager := newPeer(t)
	alertmanager.Close()
	exporter := startSimple(t, alertmanager.URL)
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	err := exporter.ConsumeLogs(ctx, anAlert(stateFiring))
	if err == nil || consumererror.IsPermanent(err) {
		t.Errorf("%v", err)
	}
	if exporter.logs.FilterMessageSnippet("Will retry").Len() == 0 {
		t.Error("there was no second attempt")
	}
}

func TestManyRecordsAtOnceAreRaceFree(t *testing.T) {
	alertmanager := newPeer(t)
	exporter := startSimple(t, alertmanager.URL)
	done := make(chan error)
	for range 8 {
		go func() { done <- exporter.ConsumeLogs(context.Background(), anAlert(stateFiring)) }()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestWhatIsNoLongerUpIsForgotten(t *testing.T) {
	moment := now
	exporter, err := newAlertExporter(&Config{}, componenttest.NewNopTelemetrySettings(), func() time.Time { return moment })
	if err != nil {
		t.Fatal(err)
	}
	exporter.remember([]alert{convert(t, stateFiring)})
	moment = moment.Add(5 * time.Minute)
	exporter.remember([]alert{convert(t, stateFiring, with("spanguard.alert.label.policy", "other"))})
	if held := len(exporter.delivered); held != 1 {
		t.Errorf("%d alerts are remembered, want the latest alone", held)
	}
}

package alertmanagerexporter

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"
)

const (
	scopeName      = "github.com/spanguard/spanguard/collector/alertmanagerexporter"
	droppedCounter = "otelcol_exporter_alertmanager_dropped_alerts"

	// What of an answer is read so that the connection can be used again; what it says is not needed.
	maxAnswerBytes = 64 * 1024
)

// alertExporter turns log records into alerts and posts them.
type alertExporter struct {
	config  *Config
	set     component.TelemetrySettings
	url     string
	client  *http.Client
	now     func() time.Time
	dropped metric.Int64Counter

	// delivered holds, by identity, the last word that Alertmanager took on each alert that may still be up.
	mu        sync.Mutex
	delivered map[string]lastWord
}

type lastWord struct{ said, staleAfter time.Time }

func newAlertExporter(config *Config, set component.TelemetrySettings, now func() time.Time) (*alertExporter, error) {
	dropped, err := set.MeterProvider.Meter(scopeName).Int64Counter(droppedCounter,
		metric.WithUnit("{alert}"),
		metric.WithDescription("Alerts that were not sent: expired before they could be, invalid, or refused by Alertmanager."))
	if err != nil {
		return nil, err
	}
	return &alertExporter{
		config:    config,
		set:       set,
		url:       strings.TrimSuffix(config.ClientConfig.Endpoint, "/") + "/api/v2/alerts",
		now:       now,
		dropped:   dropped,
		delivered: map[string]lastWord{},
	}, nil
}

func (e *alertExporter) start(ctx context.Context, host component.Host) (err error) {
	e.client, err = e.config.ClientConfig.ToClient(ctx, host.GetExtensions(), e.set)
	return err
}

func (e *alertExporter) push(ctx context.Context, logs plog.Logs) error {
	alerts := e.worthSending(ctx, e.read(ctx, logs))
	if len(alerts) == 0 {
		return nil
	}
	err := e.post(ctx, alerts)
	switch {
	case consumererror.IsPermanent(err):
		return e.postEach(ctx, alerts, err)
	case err != nil:
		return err
	}
	e.remember(alerts)
	return nil
}

// read makes alerts of records. One that cannot be read costs itself only.
func (e *alertExporter) read(ctx context.Context, logs plog.Logs) []alert {
	var alerts []alert
	now := e.now()
	for _, resourceLogs := range logs.ResourceLogs().All() {
		for _, scopeLogs := range resourceLogs.ScopeLogs().All() {
			for _, record := range scopeLogs.LogRecords().All() {
				read, err := alertFromRecord(resourceLogs.Resource(), record, e.config.TraceURL, now)
				if err != nil {
					e.drop(ctx, "invalid", 1, zap.Error(err))
					continue
				}
				alerts = append(alerts, read)
			}
		}
	}
	return alerts
}

// worthSending leaves the last word on each alert, unless a later one was delivered before: after a crash the queue
// hands out first what it handed out last. What fired too long ago to be still true is dropped.
func (e *alertExporter) worthSending(ctx context.Context, alerts []alert) []alert {
	slices.SortStableFunc(alerts, func(a, b alert) int { return a.said.Compare(b.said) })
	latest := map[string]int{}
	for i, candidate := range alerts {
		latest[candidate.identity()] = i
	}
	now := e.now()
	var result []alert
	for i, candidate := range alerts {
		identity := candidate.identity()
		switch {
		case latest[identity] != i || candidate.said.Before(e.lastDelivered(identity)):
			e.set.Logger.Debug("Alert left out: there is later word on it.", zap.String("alertname", candidate.Labels["alertname"]))
		case candidate.firing && !candidate.EndsAt.After(now):
			e.drop(ctx, "expired", 1, zap.String("alertname", candidate.Labels["alertname"]), zap.Time("ended", candidate.EndsAt))
		default:
			result = append(result, candidate)
		}
	}
	return result
}

// postEach finds out which alerts of a refused batch are to blame, so that the others get through.
func (e *alertExporter) postEach(ctx context.Context, alerts []alert, refusal error) error {
	refused := len(alerts)
	if len(alerts) > 1 {
		refused = 0
		for _, single := range alerts {
			err := e.post(ctx, []alert{single})
			if err != nil && !consumererror.IsPermanent(err) {
				return err
			}
			if err != nil {
				refused++
				refusal = err
				continue
			}
			e.remember([]alert{single})
		}
	}
	if refused == 0 {
		return nil
	}
	e.drop(ctx, "refused", refused, zap.Int("of", len(alerts)), zap.Error(refusal))
	return refusal
}

func (e *alertExporter) post(ctx context.Context, alerts []alert) error {
	body, err := json.Marshal(alerts)
	if err != nil {
		return consumererror.NewPermanent(err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, bytes.NewReader(body))
	if err != nil {
		return consumererror.NewPermanent(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := e.client.Do(request)
	if err != nil {
		return fmt.Errorf("Alertmanager cannot be reached: %w", withoutURL(err))
	}
	defer response.Body.Close()
	_, _ = io.CopyN(io.Discard, response.Body, maxAnswerBytes)
	return e.judge(response)
}

// judge sorts an answer into taken, refused for good, and to be tried again. The answer's text may repeat label values
// and is therefore not passed on.
func (e *alertExporter) judge(response *http.Response) error {
	status := response.StatusCode
	if status >= 200 && status < 300 {
		return nil
	}
	err := fmt.Errorf("Alertmanager answered %d %s", status, http.StatusText(status))
	// These two of the class ask for another attempt.
	again := status == http.StatusTooManyRequests || status == http.StatusRequestTimeout
	if status >= 400 && status < 500 && !again {
		return consumererror.NewPermanent(err)
	}
	if wait := retryAfter(response.Header.Get("Retry-After"), e.now()); wait > 0 {
		return exporterhelper.NewThrottleRetry(err, wait)
	}
	return err
}

func (e *alertExporter) remember(alerts []alert) {
	now := e.now()
	e.mu.Lock()
	defer e.mu.Unlock()
	for identity, word := range e.delivered {
		if word.staleAfter.Before(now) {
			delete(e.delivered, identity)
		}
	}
	for _, sent := range alerts {
		e.delivered[sent.identity()] = lastWord{said: sent.said, staleAfter: sent.staleAfter}
	}
}

func (e *alertExporter) lastDelivered(identity string) time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.delivered[identity].said
}

func (e *alertExporter) drop(ctx context.Context, reason string, count int, fields ...zap.Field) {
	e.dropped.Add(ctx, int64(count), metric.WithAttributes(attribute.String("reason", reason)))
	e.set.Logger.Warn("Alert dropped.", append(fields, zap.String("reason", reason), zap.Int("count", count))...)
}

// retryAfter reads the header of RFC 9110, section 10.2.3: seconds or a date. Zero: there is none.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(header, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if date, err := http.ParseTime(header); err == nil {
		return date.Sub(now)
	}
	return 0
}

// withoutURL keeps what went wrong and leaves out the address, which is in the settings anyway.
func withoutURL(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}

package alertmanagerexporter

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

const patience = 10 * time.Second

var traceID = pcommon.TraceID{0x4b, 0xf9, 0x2f, 0x35, 0x77, 0xb3, 0x4d, 0xa6, 0xa3, 0xce, 0x92, 0x9d, 0x0e, 0x0e, 0x47, 0x36}

// peer is an HTTP server in Alertmanager's place that answers as told and hands over what it was sent.
type peer struct {
	*httptest.Server
	requests chan []alert

	mu     sync.Mutex
	answer func(alerts []alert) (status int, header http.Header)
}

func newPeer(t *testing.T) *peer {
	t.Helper()
	p := &peer{requests: make(chan []alert, 100)}
	p.answerWith(http.StatusOK)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var alerts []alert
		if r.Method != http.MethodPost || r.URL.Path != "/api/v2/alerts" || json.Unmarshal(body, &alerts) != nil {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		p.mu.Lock()
		status, header := p.answer(alerts)
		p.mu.Unlock()
		for name, values := range header {
			w.Header()[name] = values
		}
		w.WriteHeader(status)
		_, _ = w.Write(body)
		p.requests <- alerts
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *peer) answerBy(answer func(alerts []alert) (int, http.Header)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
}

// answerWith answers with each status once, then with the last one for ever.
func (p *peer) answerWith(statuses ...int) {
	p.answerBy(func([]alert) (int, http.Header) {
		status := statuses[0]
		if len(statuses) > 1 {
			statuses = statuses[1:]
		}
		return status, nil
	})
}

func (p *peer) next(t *testing.T) []alert {
	t.Helper()
	select {
	case alerts := <-p.requests:
		return alerts
	case <-time.After(patience):
		t.Fatal("Alertmanager's peer was sent nothing")
		return nil
	}
}

// running is a started exporter, made by the factory as the collector makes it.
type running struct {
	exporter.Logs
	logs      *observer.ObservedLogs
	telemetry *componenttest.Telemetry
}

type hostWith map[component.ID]component.Component

func (h hostWith) GetExtensions() map[component.ID]component.Component { return h }

func start(t *testing.T, endpoint string, host component.Host, change func(*Config)) *running {
	t.Helper()
	cfg := NewFactory().CreateDefaultConfig().(*Config)
	cfg.ClientConfig.Endpoint = endpoint
	cfg.TraceURL = "http://jaeger.example/trace/{trace_id}"
	cfg.RetryConfig.InitialInterval = 5 * time.Millisecond
	cfg.RetryConfig.MaxInterval = 10 * time.Millisecond
	if change != nil {
		change(cfg)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zap.DebugLevel)
	telemetry := componenttest.NewTelemetry()
	set := exportertest.NewNopSettings(componentType)
	set.ID = component.NewID(componentType)
	set.TelemetrySettings = telemetry.NewTelemetrySettings()
	set.Logger = zap.New(core)
	made, err := NewFactory().CreateLogs(context.Background(), set, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := made.Start(context.Background(), host); err != nil {
		t.Fatal(err)
	}
	return &running{Logs: made, logs: logs, telemetry: telemetry}
}

// startSimple starts an exporter without a queue: ConsumeLogs returns what became of the alerts.
func startSimple(t *testing.T, endpoint string) *running {
	t.Helper()
	started := start(t, endpoint, componenttest.NewNopHost(), func(cfg *Config) {
		cfg.QueueConfig = configoptional.None[exporterhelper.QueueBatchConfig]()
	})
	t.Cleanup(func() { started.stop(t) })
	return started
}

func (r *running) stop(t *testing.T) {
	t.Helper()
	if err := r.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
}

func (r *running) consume(t *testing.T, logs plog.Logs) {
	t.Helper()
	if err := r.ConsumeLogs(context.Background(), logs); err != nil {
		t.Fatal(err)
	}
}

// dropped is the value of the counter of alerts that were not sent, for one reason.
func (r *running) dropped(t *testing.T, reason string) int64 {
	t.Helper()
	counter, err := r.telemetry.GetMetric(droppedCounter)
	if err != nil {
		return 0
	}
	var total int64
	for _, point := range counter.Data.(metricdata.Sum[int64]).DataPoints {
		if value, _ := point.Attributes.Value("reason"); value.AsString() == reason {
			total += point.Value
		}
	}
	return total
}

func sum(counter metricdata.Metrics) (total int64) {
	for _, point := range counter.Data.(metricdata.Sum[int64]).DataPoints {
		total += point.Value
	}
	return total
}

type recordOption func(plog.LogRecord)

func with(key string, value any) recordOption {
	return func(record plog.LogRecord) {
		if err := record.Attributes().PutEmpty(key).FromRaw(value); err != nil {
			panic(err)
		}
	}
}

func without(key string) recordOption {
	return func(record plog.LogRecord) { record.Attributes().Remove(key) }
}

func at(moment time.Time) recordOption {
	return func(record plog.LogRecord) { record.SetTimestamp(pcommon.NewTimestampFromTime(moment)) }
}

func named(event string) recordOption {
	return func(record plog.LogRecord) { record.SetEventName(event) }
}

func untraced(record plog.LogRecord) { record.SetTraceID(pcommon.NewTraceIDEmpty()) }

// anAlert is one record as the Python side emits it.
func anAlert(state string, options ...recordOption) plog.Logs {
	logs := plog.NewLogs()
	addAlert(logs, state, options...)
	return logs
}

func addAlert(logs plog.Logs, state string, options ...recordOption) plog.LogRecord {
	resourceLogs := logs.ResourceLogs().AppendEmpty()
	resourceLogs.Resource().Attributes().PutStr("service.name", "tge-monitor")
	resourceLogs.Resource().Attributes().PutStr("deployment.environment.name", "production")
	record := resourceLogs.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	record.SetEventName("spanguard.alert")
	record.SetTraceID(traceID)
	for _, option := range append([]recordOption{
		at(time.Now()),
		with("spanguard.alert.name", "DependencyUnavailable"),
		with("spanguard.alert.severity", "critical"),
		with("spanguard.alert.state", state),
		with("spanguard.alert.key", "7d1f"),
		with("spanguard.alert.starts_at", time.Now().Add(-time.Minute).UnixNano()),
		with("spanguard.alert.resend_interval", 60.0),
		with("spanguard.alert.summary", "twitter_api is down"),
		with("spanguard.alert.description", "5 calls failed in a row."),
		with("spanguard.alert.runbook_url", "https://example.org/runbook"),
		with("spanguard.alert.label.policy", "twitter_api"),
	}, options...) {
		option(record)
	}
	return record
}

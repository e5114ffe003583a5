package alertmanagerexporter

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/pdata/plog"
)

var componentType = component.MustNewType("alertmanager")

// NewFactory makes the factory of the exporter "alertmanager", for logs alone.
func NewFactory() exporter.Factory {
	return exporter.NewFactory(componentType, defaultConfig, exporter.WithLogs(newLogs, component.StabilityLevelDevelopment))
}

func newLogs(ctx context.Context, set exporter.Settings, config component.Config) (exporter.Logs, error) {
	cfg := config.(*Config)
	alerts, err := newAlertExporter(cfg, set.TelemetrySettings, time.Now)
	if err != nil {
		return nil, err
	}
	inner, err := exporterhelper.NewLogs(ctx, set, cfg, alerts.push,
		exporterhelper.WithStart(alerts.start),
		exporterhelper.WithCapabilities(consumer.Capabilities{MutatesData: false}),
		// The HTTP client has its own.
		exporterhelper.WithTimeout(exporterhelper.TimeoutConfig{Timeout: 0}),
		exporterhelper.WithRetry(cfg.RetryConfig),
		exporterhelper.WithQueue(cfg.QueueConfig),
	)
	if err != nil {
		return nil, err
	}
	return alertsOnly{inner}, nil
}

// alertsOnly keeps what is no alert out of the queue and out of the exporter's counts.
type alertsOnly struct {
	exporter.Logs
}

func (e alertsOnly) ConsumeLogs(ctx context.Context, logs plog.Logs) error {
	alerts := selectAlerts(logs)
	if alerts.LogRecordCount() == 0 {
		return nil
	}
	return e.Logs.ConsumeLogs(ctx, alerts)
}

func selectAlerts(logs plog.Logs) plog.Logs {
	selected := plog.NewLogs()
	for _, resourceLogs := range logs.ResourceLogs().All() {
		records := plog.NewLogRecordSlice()
		for _, scopeLogs := range resourceLogs.ScopeLogs().All() {
			for _, record := range scopeLogs.LogRecords().All() {
				if record.EventName() == eventName {
					record.CopyTo(records.AppendEmpty())
				}
			}
		}
		if records.Len() > 0 {
			target := selected.ResourceLogs().AppendEmpty()
			resourceLogs.Resource().CopyTo(target.Resource())
			records.MoveAndAppendTo(target.ScopeLogs().AppendEmpty().LogRecords())
		}
	}
	return selected
}

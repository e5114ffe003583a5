package alertmanagerexporter

import (
	"context"
	"net/http"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensiontest"
)

func startStorage(t *testing.T, directory string) (hostWith, extension.Extension, component.ID) {
	t.Helper()
	factory := filestorage.NewFactory()
	cfg := factory.CreateDefaultConfig().(*filestorage.Config)
	cfg.Directory = directory
	cfg.FSync = true
	storage, err := factory.Create(context.Background(), extensiontest.NewNopSettings(factory.Type()), cfg)
	if err != nil {
		t.Fatal(err)
	}
	id := component.NewID(factory.Type())
	host := hostWith{id: storage}
	if err := storage.Start(context.Background(), host); err != nil {
		t.Fatal(err)
	}
	return host, storage, id
}

func TestWhatWaitsInTheQueueSurvivesARestart(t *testing.T) {
	alertmanager := newPeer(t)
	alertmanager.answerWith(http.StatusServiceUnavailable)
	directory := t.TempDir()

	host, storage, id := startStorage(t, directory)
	persistent := func(cfg *Config) { cfg.QueueConfig.Get().StorageID = &id }
	exporter := start(t, alertmanager.URL, host, persistent)
	exporter.consume(t, anAlert(stateFiring, with("spanguard.alert.label.policy", "one")))
	exporter.consume(t, anAlert(stateFiring, with("spanguard.alert.label.policy", "two")))
	alertmanager.next(t)
	exporter.stop(t)
	if err := storage.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	for len(alertmanager.requests) > 0 {
		<-alertmanager.requests
	}

	alertmanager.answerWith(http.StatusOK)
	host, storage, _ = startStorage(t, directory)
	exporter = start(t, alertmanager.URL, host, persistent)
	arrived := map[string]bool{}
	for len(arrived) < 2 {
		for _, one := range alertmanager.next(t) {
			arrived[one.Labels["policy"]] = true
		}
	}
	exporter.stop(t)
	if err := storage.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
}

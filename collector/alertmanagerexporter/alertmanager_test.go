package alertmanagerexporter

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumererror"
)

const binaryVariable = "SPANGUARD_ALERTMANAGER_BIN"

// realAlertmanager starts the server whose path the environment names, and returns its base URL.
func realAlertmanager(t *testing.T) string {
	t.Helper()
	binary := os.Getenv(binaryVariable)
	if binary == "" {
		t.Skipf("%s does not name an Alertmanager to test against", binaryVariable)
	}
	directory := t.TempDir()
	config := filepath.Join(directory, "alertmanager.yml")
	if err := os.WriteFile(config, []byte("route: {receiver: none}\nreceivers: [{name: none}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	server := exec.Command(binary, "--config.file="+config, "--storage.path="+directory,
		"--web.listen-address="+address, "--cluster.listen-address=")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGTERM)
		_ = server.Wait()
	})
	base := "http://" + address
	await(t, "Alertmanager is ready", func() bool {
		response, err := http.Get(base + "/-/ready")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	return base
}

func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-deadline:
			t.Fatalf("waited in vain: %s", what)
		case <-tick.C:
		}
	}
}

// standing are the alerts that Alertmanager holds for active.
func standing(t *testing.T, base string) []alert {
	t.Helper()
	response, err := http.Get(base + "/api/v2/alerts?active=true")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var alerts []alert
	if err := json.NewDecoder(response.Body).Decode(&alerts); err != nil {
		t.Fatal(err)
	}
	return alerts
}

func TestARealAlertmanagerShowsTheAlertAndItsResolution(t *testing.T) {
	base := realAlertmanager(t)
	exporter := start(t, base, componenttest.NewNopHost(), nil)
	defer exporter.stop(t)
	exporter.consume(t, anAlert(stateFiring))
	await(t, "the alert stands", func() bool { return len(standing(t, base)) == 1 })
	got := standing(t, base)[0]
	if got.Labels["service_name"] != "tge-monitor" || got.Annotations["trace_url"] == "" || got.GeneratorURL != got.Annotations["trace_url"] {
		t.Errorf("Alertmanager shows %+v", got)
	}
	exporter.consume(t, anAlert(stateResolved))
	await(t, "the alert is gone", func() bool { return len(standing(t, base)) == 0 })
}

func TestARealAlertmanagerClearsTheAlertOfADeadProcess(t *testing.T) {
	base := realAlertmanager(t)
	exporter := start(t, base, componenttest.NewNopHost(), nil)
	defer exporter.stop(t)
	raised := time.Now()
	exporter.consume(t, anAlert(stateFiring, with(attrResendInterval, 0.5)))
	await(t, "the alert stands", func() bool { return len(standing(t, base)) == 1 })
	await(t, "the alert is gone", func() bool { return len(standing(t, base)) == 0 })
	if stood := time.Since(raised); stood < 2*time.Second {
		t.Errorf("it was gone after %s, before four intervals of half a second", stood)
	}
}

func TestARealAlertmanagerTakesWhateverARecordHolds(t *testing.T) {
	base := realAlertmanager(t)
	exporter := startSimple(t, base)
	for i, odd := range []recordOption{
		with("spanguard.alert.label.__name__", "x"),
		with("spanguard.alert.label.ünï.çödé", "☃"),
		with("spanguard.alert.label.bytes", []byte{0xff, 0x00}),
		with("spanguard.alert.label.text", "a\xffb"),
		with(attrRunbookURL, "not a link"),
		with(attrSummary, "\x00\x1b[31m"),
		with(attrStartsAt, time.Now().Add(time.Hour).UnixNano()),
	} {
		policy := with("spanguard.alert.label.policy", fmt.Sprint(i))
		exporter.consume(t, anAlert(stateFiring, odd, policy))
		exporter.consume(t, anAlert(stateResolved, odd, policy))
	}
}

func TestWhatARealAlertmanagerRefusesIsPermanent(t *testing.T) {
	base := realAlertmanager(t)
	exporter := startSimple(t, base+"/api")
	if err := exporter.ConsumeLogs(t.Context(), anAlert(stateFiring)); !consumererror.IsPermanent(err) {
		t.Errorf("the error is not permanent: %v", err)
	}
}

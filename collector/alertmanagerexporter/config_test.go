package alertmanagerexporter

import (
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/config/configcompression"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/xconfmap"
)

func contains(text, part string) bool { return strings.Contains(text, part) }

func load(t *testing.T, settings map[string]any) *Config {
	t.Helper()
	cfg := NewFactory().CreateDefaultConfig().(*Config)
	if err := confmap.NewFromStringMap(settings).Unmarshal(cfg); err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestTheEndpointIsAllThatMustBeSet(t *testing.T) {
	cfg := load(t, map[string]any{"endpoint": "http://localhost:9093"})
	if err := xconfmap.Validate(cfg); err != nil {
		t.Fatal(err)
	}
	if cfg.RetryConfig.MaxElapsedTime != 0 {
		t.Error("retries end before the alert does")
	}
	if cfg.QueueConfig.Get().NumConsumers != 1 {
		t.Error("alerts may overtake one another")
	}
	if cfg.ClientConfig.Timeout != 10*time.Second {
		t.Errorf("timeout %s", cfg.ClientConfig.Timeout)
	}
}

func TestAWrongSettingIsNamedWithWhatToDo(t *testing.T) {
	for name, check := range map[string]struct {
		change func(*Config)
		want   []string
	}{
		"no endpoint":       {func(c *Config) { c.ClientConfig.Endpoint = "" }, []string{"endpoint is missing", "http://localhost:9093"}},
		"no scheme":         {func(c *Config) { c.ClientConfig.Endpoint = "localhost:9093" }, []string{"endpoint", "http://localhost:9093"}},
		"another scheme":    {func(c *Config) { c.ClientConfig.Endpoint = "ftp://localhost" }, []string{"endpoint", "http"}},
		"no host":           {func(c *Config) { c.ClientConfig.Endpoint = "http://" }, []string{"endpoint", "http://localhost:9093"}},
		"no URL":            {func(c *Config) { c.ClientConfig.Endpoint = "http://[" }, []string{"endpoint", "http://localhost:9093"}},
		"a query":           {func(c *Config) { c.ClientConfig.Endpoint = "http://h?a=b" }, []string{"endpoint", "query"}},
		"credentials":       {func(c *Config) { c.ClientConfig.Endpoint = "http://me:s3cret@h" }, []string{"endpoint", "auth"}},
		"compression":       {func(c *Config) { c.ClientConfig.Compression = configcompression.TypeGzip }, []string{"compression", "gzip"}},
		"no placeholder":    {func(c *Config) { c.TraceURL = "http://h/trace" }, []string{"trace_url", "{trace_id}"}},
		"a link elsewhere":  {func(c *Config) { c.TraceURL = "javascript:{trace_id}" }, []string{"trace_url", "http"}},
		"several consumers": {func(c *Config) { c.QueueConfig.Get().NumConsumers = 2 }, []string{"num_consumers", "2", "1"}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := load(t, map[string]any{"endpoint": "http://localhost:9093"})
			check.change(cfg)
			err := cfg.Validate()
			if err == nil {
				t.Fatal("it is taken")
			}
			for _, part := range check.want {
				if !contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
			if contains(err.Error(), "s3cret") {
				t.Errorf("the password is in the message: %s", err)
			}
		})
	}
}

func TestAllWrongSettingsAreNamedAtOnce(t *testing.T) {
	err := load(t, map[string]any{"endpoint": "nowhere", "trace_url": "nowhere"}).Validate()
	if err == nil || !contains(err.Error(), "endpoint") || !contains(err.Error(), "trace_url") {
		t.Errorf("%v", err)
	}
}

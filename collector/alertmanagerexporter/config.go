package alertmanagerexporter

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
)

const traceIDPlaceholder = "{trace_id}"

// Config holds the settings of the exporter. The HTTP client's stand beside the others: endpoint, tls, auth, headers...
type Config struct {
	ClientConfig confighttp.ClientConfig                                  `mapstructure:",squash"`
	QueueConfig  configoptional.Optional[exporterhelper.QueueBatchConfig] `mapstructure:"sending_queue"`
	RetryConfig  configretry.BackOffConfig                                `mapstructure:"retry_on_failure"`

	// TraceURL is where a trace can be seen, with {trace_id} in place of the id. Empty: alerts get no link to a trace.
	TraceURL string `mapstructure:"trace_url"`
}

var _ component.Config = (*Config)(nil)

// defaultConfig keeps one consumer, because alerts must arrive in order: a late "firing" would undo a "resolved".
func defaultConfig() component.Config {
	client := confighttp.NewDefaultClientConfig()
	client.Timeout = 10 * time.Second

	queue := exporterhelper.NewDefaultQueueConfig()
	queue.NumConsumers = 1

	retry := configretry.NewDefaultBackOffConfig()
	retry.MaxElapsedTime = 0

	return &Config{
		ClientConfig: client,
		QueueConfig:  configoptional.Some(queue),
		RetryConfig:  retry,
	}
}

// Validate reports every wrong setting at once.
func (cfg *Config) Validate() error {
	return errors.Join(
		checkEndpoint(cfg.ClientConfig.Endpoint),
		checkTraceURL(cfg.TraceURL),
		cfg.checkCompression(),
		cfg.checkConsumers(),
	)
}

// checkEndpoint does not repeat an endpoint with credentials: this text ends up in logs.
func checkEndpoint(endpoint string) error {
	if endpoint == "" {
		return errors.New("endpoint is missing: set it to the base URL of Alertmanager, such as http://localhost:9093")
	}
	parsed, err := url.Parse(endpoint)
	switch {
	case err != nil:
		return errors.New("endpoint is not a URL: set it to the base URL of Alertmanager, such as http://localhost:9093")
	case parsed.User != nil:
		return errors.New("endpoint carries a user name: take it out and set auth with an extension such as basicauth")
	case !isWeb(parsed):
		return fmt.Errorf("endpoint %q is not an http or https URL with a host: use one such as http://localhost:9093", endpoint)
	case parsed.RawQuery != "" || parsed.Fragment != "":
		return errors.New("endpoint has a query or a fragment: give the base URL alone, /api/v2/alerts is added to it")
	}
	return nil
}

func checkTraceURL(template string) error {
	if template == "" {
		return nil
	}
	if !strings.Contains(template, traceIDPlaceholder) {
		return fmt.Errorf("trace_url %q lacks %s: use one such as http://localhost:16686/trace/%s, or leave it empty for no links",
			template, traceIDPlaceholder, traceIDPlaceholder)
	}
	parsed, err := url.Parse(strings.ReplaceAll(template, traceIDPlaceholder, "0"))
	if err != nil || !isWeb(parsed) {
		return fmt.Errorf("trace_url %q is not an http or https URL with a host: use one such as http://localhost:16686/trace/%s",
			template, traceIDPlaceholder)
	}
	return nil
}

func (cfg *Config) checkCompression() error {
	if cfg.ClientConfig.Compression.IsCompressed() {
		return fmt.Errorf("compression %q is not understood by Alertmanager: leave it out", cfg.ClientConfig.Compression)
	}
	return nil
}

func (cfg *Config) checkConsumers() error {
	if cfg.QueueConfig.HasValue() && cfg.QueueConfig.Get().NumConsumers != 1 {
		return fmt.Errorf("sending_queue::num_consumers is %d: it must be 1, because alerts must arrive in order",
			cfg.QueueConfig.Get().NumConsumers)
	}
	return nil
}

func isWeb(u *url.URL) bool {
	return (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != ""
}

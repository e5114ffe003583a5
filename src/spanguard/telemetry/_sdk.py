"""What spanguard needs of the OpenTelemetry SDK's insides, in one place.

The SDK configures itself from `OTEL_*` variables only through its private configuration module, which distributions
subclass; it has no public way to configure one signal and join another, nor to repair a meter provider after fork.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import Literal

from opentelemetry import _logs, metrics, trace
from opentelemetry._logs._internal import ProxyLoggerProvider
from opentelemetry.metrics._internal import _ProxyMeterProvider
from opentelemetry.sdk import _configuration as configuration
from opentelemetry.sdk.environment_variables import (
    OTEL_CONFIG_FILE,
    OTEL_EXPORTER_OTLP_LOGS_PROTOCOL,
    OTEL_EXPORTER_OTLP_METRICS_PROTOCOL,
    OTEL_EXPORTER_OTLP_PROTOCOL,
    OTEL_EXPORTER_OTLP_TRACES_PROTOCOL,
    OTEL_SDK_DISABLED,
)
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import ProxyTracerProvider

from spanguard.telemetry.internal import safely

Signal = Literal["traces", "metrics", "logs"]

SIGNALS: tuple[Signal, ...] = ("traces", "metrics", "logs")

_OTLP_HTTP = "otlp_proto_http"
_LOGGING_HANDLER = "OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED"
_EXPORTERS = {"traces": "OTEL_TRACES_EXPORTER", "metrics": "OTEL_METRICS_EXPORTER", "logs": "OTEL_LOGS_EXPORTER"}
_PROTOCOLS = {
    "traces": OTEL_EXPORTER_OTLP_TRACES_PROTOCOL,
    "metrics": OTEL_EXPORTER_OTLP_METRICS_PROTOCOL,
    "logs": OTEL_EXPORTER_OTLP_LOGS_PROTOCOL,
}


def current_provider(signal: Signal) -> object | None:
    """Return the provider that is set for this signal, or None where only the API's proxy stands."""
    if signal == "traces":
        tracer_provider = trace.get_tracer_provider()
        return None if isinstance(tracer_provider, ProxyTracerProvider) else tracer_provider
    if signal == "metrics":
        meter_provider = metrics.get_meter_provider()
        return None if isinstance(meter_provider, _ProxyMeterProvider) else meter_provider
    logger_provider = _logs.get_logger_provider()
    return None if isinstance(logger_provider, ProxyLoggerProvider) else logger_provider


def build_providers(signals: list[Signal], attributes: Mapping[str, str]) -> None:
    """Build and set the providers of these signals from the environment, exporting OTLP over http/protobuf by default.

    Raises:
        RuntimeError: the environment names an exporter, protocol or configuration file that cannot be had.
    """
    if os.environ.get(OTEL_CONFIG_FILE) and len(signals) == len(SIGNALS):
        _Configurator().configure()  # type: ignore[no-untyped-call]
        return
    resource = Resource.create(dict(attributes))
    names = {signal: _exporter_names(signal) if signal in signals else [] for signal in SIGNALS}
    span_exporters, metric_exporters, log_exporters = configuration._import_exporters(  # noqa: SLF001
        names["traces"], names["metrics"], names["logs"]
    )
    if "traces" in signals:
        configuration._init_tracing(  # noqa: SLF001
            span_exporters,
            id_generator=configuration._import_id_generator(configuration._get_id_generator()),  # noqa: SLF001
            sampler=configuration._import_sampler(configuration._get_sampler()),  # noqa: SLF001
            resource=resource,
            tracer_configurator=configuration._import_tracer_configurator(  # noqa: SLF001
                configuration._get_tracer_configurator()  # noqa: SLF001
            ),
        )
    if "metrics" in signals:
        configuration._init_metrics(  # noqa: SLF001
            metric_exporters,
            resource,
            meter_configurator=configuration._import_meter_configurator(  # noqa: SLF001
                configuration._get_meter_configurator()  # noqa: SLF001
            ),
        )
    if "logs" in signals:
        configuration._init_logging(  # noqa: SLF001
            log_exporters,
            resource,
            setup_logging_handler=os.environ.get(_LOGGING_HANDLER, "").strip().lower() == "true",
            logger_configurator=configuration._import_logger_configurator(  # noqa: SLF001
                configuration._get_logger_configurator()  # noqa: SLF001
            ),
        )


def signals_over_http(signals: list[Signal]) -> list[Signal]:
    """Return the signals that the environment sends over OTLP http/protobuf."""
    is_disabled = os.environ.get(OTEL_SDK_DISABLED, "").strip().lower() == "true"
    if is_disabled or os.environ.get(OTEL_CONFIG_FILE):
        return []
    return [signal for signal in signals if _OTLP_HTTP in _exporter_names(signal)]


def forget_parent_metrics(provider: MeterProvider) -> None:
    """Give a forked child empty metric storages and fresh locks; the SDK repairs only its processors and resource.

    Without this the child repeats its parent's histograms under its own instance id, and never exports again if the
    parent was exporting at the moment of the fork.
    """
    with safely("fork"):
        consumer = provider._measurement_consumer  # noqa: SLF001
        consumer._lock = threading.Lock()  # noqa: SLF001
        for reader in list(consumer._reader_storages):  # noqa: SLF001
            if isinstance(reader, PeriodicExportingMetricReader):
                reader._export_lock = threading.Lock()  # noqa: SLF001
            consumer.add_metric_reader(reader)


class _Configurator(configuration._OTelSDKConfigurator):  # noqa: SLF001
    """The SDK's own configurator, which asks to be subclassed."""


def _exporter_names(signal: Signal) -> list[str]:
    names = os.environ.get(_EXPORTERS[signal], "").strip()
    if names.lower() == "none":
        return []
    protocol_is_set = os.environ.get(_PROTOCOLS[signal]) or os.environ.get(OTEL_EXPORTER_OTLP_PROTOCOL)
    # The SDK's default protocol is gRPC; http/protobuf needs no native library and survives a fork.
    default = "otlp" if protocol_is_set else _OTLP_HTTP
    chosen = [name.strip() for name in (names or "otlp").split(",")]
    return [
        configuration._get_exporter_entry_point(default if name == "otlp" else name, signal)  # noqa: SLF001
        for name in chosen
    ]

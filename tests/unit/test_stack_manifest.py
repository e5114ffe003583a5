from __future__ import annotations

import re
from pathlib import Path

import pytest

from spanguard.errors import ConfigurationError
from spanguard.stack.manifest import FileSpec, Manifest, read_manifest, stack_files


@pytest.fixture
def files() -> Path:
    return stack_files()


@pytest.fixture
def manifest(files: Path) -> Manifest:
    return read_manifest(files)


@pytest.fixture
def values(manifest: Manifest) -> dict[str, str]:
    settings = ("evaluation_interval", "metrics_flush_interval", "rate_window", "group_wait")
    ports = {f"port_{name}": str(port) for name, port in manifest.ports.items()}
    return {**ports, **dict.fromkeys(settings, "1s"), "files": "/files", "data": "/data"}


def test_every_module_of_a_build_is_pinned_by_go_mod_and_go_sum(files: Path, manifest: Manifest) -> None:
    for name, build in manifest.builds.items():
        for pattern in build.key_files:
            assert list(files.glob(pattern)), f"{pattern} of {name} matches no file"
        assert (files / build.module / "go.mod").is_file(), name


def test_every_configuration_file_is_there_with_the_texts_that_a_run_replaces(
    files: Path, manifest: Manifest, values: dict[str, str]
) -> None:
    for server in manifest.servers.values():
        for file in server.files:
            assert file.render(files, values)


def test_every_template_of_a_server_can_be_filled(manifest: Manifest, values: dict[str, str]) -> None:
    for server in manifest.servers.values():
        for template in (*server.args, *server.env.values(), server.health, server.url):
            template.format_map(values)


def test_every_server_runs_what_a_build_makes(manifest: Manifest) -> None:
    for server in manifest.servers.values():
        assert server.binary in manifest.builds[server.build].binaries


def test_no_server_listens_on_anything_but_loopback(manifest: Manifest) -> None:
    for server in manifest.servers.values():
        addresses = re.findall(r"(\S+):(?:\{port_|0\b)", " ".join([*server.args, *server.env.values()]))
        assert addresses
        assert all(address.endswith("127.0.0.1") for address in addresses), addresses


def test_each_port_belongs_to_the_server_that_listens_on_it(manifest: Manifest) -> None:
    listeners = {port: manifest.listener(port) for port in manifest.ports}
    assert listeners["otlp_http"] == "collector"
    assert listeners["otlp_grpc"] == "collector"
    assert listeners["jaeger"] == "jaeger"
    assert listeners["jaeger_otlp"] == "jaeger"
    assert listeners["prometheus"] == "prometheus"
    assert listeners["alertmanager"] == "alertmanager"
    assert listeners["victorialogs"] == "victorialogs"


def test_a_text_to_replace_that_the_file_lacks_is_refused_with_both_names(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("interval: 20s\n")
    file = FileSpec.model_validate({"from": "a.yml", "to": "a.yml", "replace": {"interval: 15s": "interval: {x}"}})

    with pytest.raises(ConfigurationError, match=r"a\.yml lacks the text 'interval: 15s'"):
        file.render(tmp_path, {"x": "1s"})

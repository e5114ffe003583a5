"""The compose files and Grafana's provisioning hold what they promise; no engine is needed to see that."""

from __future__ import annotations

import json
import subprocess
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from stack.docker_tools import BASE, LOCAL, MANIFEST, ROOT, SERVERS, compose_command

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

PROVISIONING = ROOT / "grafana" / "provisioning"


@pytest.fixture(scope="module")
def compose() -> list[str]:
    return compose_command()


@pytest.fixture(scope="module")
def resolved(compose: list[str]) -> Callable[..., dict[str, Any]]:
    """What compose makes of its files, checked against its schema on the way."""

    def resolve(*files: Path) -> dict[str, Any]:
        arguments = [argument for file in files for argument in ("-f", str(file))]
        ran = subprocess.run(
            [*compose, *arguments, "config", "--format=json"], capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stderr
        assert not ran.stderr, "compose warns"
        config: dict[str, Any] = json.loads(ran.stdout)
        return config

    return resolve


@pytest.fixture(scope="module")
def services(resolved: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = resolved(BASE)["services"]
    return found


def test_compose_runs_each_server_of_the_native_stack_and_grafana(services: dict[str, Any]) -> None:
    assert set(services) == {*SERVERS, "grafana"}


def test_every_port_is_published_on_the_loopback_interface_only(services: dict[str, Any]) -> None:
    published = [port for service in services.values() for port in service["ports"]]

    assert len(published) >= len(services)
    assert {port["host_ip"] for port in published} == {"127.0.0.1"}


def test_compose_publishes_the_default_ports_of_the_native_stack(services: dict[str, Any]) -> None:
    published = {int(port["published"]) for name in SERVERS for port in services[name]["ports"]}

    assert published <= set(MANIFEST["ports"].values())


def test_the_variable_of_a_native_port_moves_it_in_compose_too(
    resolved: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    reachable = set(MANIFEST["ports"]) - {"jaeger_otlp", "jaeger_admin"}
    for offset, name in enumerate(sorted(reachable)):
        monkeypatch.setenv(f"SPANGUARD_STACK_PORTS__{name.upper()}", str(21000 + offset))

    services = resolved(BASE)["services"]

    published = {int(port["published"]) for name in SERVERS for port in services[name]["ports"]}
    assert published == {21000 + offset for offset in range(len(reachable))}


def test_every_public_image_is_pinned_and_our_own_is_never_pulled(services: dict[str, Any]) -> None:
    for name, service in services.items():
        tag = service["image"].rpartition(":")[2]
        if name == "collector":
            assert service["pull_policy"] == "never"
        else:
            assert tag.removeprefix("v").count(".") == 2, f"{name} floats: {service['image']}"


def test_every_service_has_a_health_check_and_no_privileges(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["healthcheck"]["test"][0] == "CMD", name
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name


def test_no_password_stands_in_the_file(services: dict[str, Any], resolved: Callable[..., dict[str, Any]]) -> None:
    secrets = resolved(BASE)["secrets"]

    assert secrets["grafana_password"]["environment"] == "SPANGUARD_GRAFANA_PASSWORD"
    assert services["grafana"]["environment"]["GF_SECURITY_ADMIN_PASSWORD__FILE"] == "/run/secrets/grafana_password"
    assert not [key for key in services["grafana"]["environment"] if key.endswith(("PASSWORD", "SECRET_KEY", "TOKEN"))]


@pytest.mark.parametrize("name", SERVERS)
def test_a_container_reads_the_very_files_of_the_native_server(name: str, services: dict[str, Any]) -> None:
    mounted = {
        Path(volume["source"]): volume for volume in services[name].get("volumes", []) if volume["type"] == "bind"
    }
    directories = set()
    for file in SERVERS[name].get("files", []):
        volume = mounted.pop(ROOT / "collector" / file["from"])
        assert volume["read_only"]
        assert volume["target"].endswith(f"/{file['to']}")
        directories.add(volume["target"].removesuffix(file["to"]))

    assert not mounted, "a container reads more than the native server"
    assert len(directories) <= 1, "the files lie together, as they do natively"


@pytest.mark.parametrize("name", SERVERS)
def test_a_container_is_given_the_flags_and_variables_of_the_native_server(name: str, services: dict[str, Any]) -> None:
    own_to_one_machine = ("listen", "host-port", "Addr")
    flags = {argument.partition("=")[0] for argument in SERVERS[name]["args"]}
    given = {argument.partition("=")[0] for argument in services[name]["command"]}

    assert {flag for flag in flags if not any(word in flag for word in own_to_one_machine)} <= given
    assert set(SERVERS[name].get("env", {})) == set(services[name].get("environment", {}))


@pytest.mark.parametrize("name", [name for name, server in SERVERS.items() if "volume" in server])
def test_the_data_of_a_container_is_in_a_named_volume_where_its_image_has_room_for_it(
    name: str, services: dict[str, Any]
) -> None:
    named = [volume["target"] for volume in services[name]["volumes"] if volume["type"] == "volume"]

    assert named == [SERVERS[name]["volume"]]


def test_the_local_files_name_no_public_image(resolved: Callable[..., dict[str, Any]]) -> None:
    services = resolved(BASE, LOCAL)["services"]

    assert {name: service["image"] for name, service in services.items()} == {
        name: f"spanguard/{name}:local" for name in SERVERS
    }
    assert {service["pull_policy"] for service in services.values()} == {"never"}
    assert {service["healthcheck"]["test"][1] for service in services.values()} == {"/probe"}


class DocumentedShape(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel)


class DataSource(DocumentedShape):
    name: str
    uid: Annotated[str, Field(pattern="^[a-zA-Z0-9_-]{1,40}$")]
    type: Literal["prometheus", "jaeger", "alertmanager", "victoriametrics-logs-datasource"]
    access: Literal["proxy"]
    url: str
    is_default: bool = False
    editable: Literal[False]
    json_data: dict[str, Any]


class DataSources(DocumentedShape):
    api_version: Literal[1]
    prune: bool
    datasources: list[DataSource]


class FileOptions(DocumentedShape):
    path: str


class DashboardProvider(DocumentedShape):
    name: str
    folder: str
    folder_uid: str
    type: Literal["file"]
    disable_deletion: bool
    allow_ui_updates: Literal[False]
    update_interval_seconds: Annotated[int, Field(ge=10)]
    options: FileOptions


class Dashboards(DocumentedShape):
    api_version: Literal[1]
    providers: list[DashboardProvider]


@pytest.fixture(scope="module")
def sources() -> list[DataSource]:
    """What Grafana is told of data sources, held to the shape that its documentation gives."""
    text = (PROVISIONING / "datasources" / "spanguard.yaml").read_text()
    return DataSources.model_validate(yaml.safe_load(text)).datasources


def test_grafana_finds_the_dashboards_where_compose_mounts_them(services: dict[str, Any]) -> None:
    text = (PROVISIONING / "dashboards" / "spanguard.yaml").read_text()
    (provider,) = Dashboards.model_validate(yaml.safe_load(text)).providers
    mounted = {volume["source"]: volume["target"] for volume in services["grafana"]["volumes"]}

    assert mounted[str(ROOT / "grafana" / "json")] == provider.options.path
    assert mounted[str(PROVISIONING)] == "/etc/grafana/provisioning"


def test_the_links_between_data_sources_lead_to_provisioned_ones(sources: list[DataSource]) -> None:
    known = {source.uid for source in sources}
    links = [uid for source in sources for uid in linked_sources(source.json_data)]

    assert len(known) == len(sources)
    assert len(links) >= len(sources) - 1
    assert set(links) <= known


def linked_sources(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (value for key, value in node.items() if key in {"datasourceUid", "alertmanagerUid"})
        node = list(node.values())
    if isinstance(node, list):
        for value in node:
            yield from linked_sources(value)


def test_grafana_asks_the_servers_of_the_compose_file(services: dict[str, Any], sources: list[DataSource]) -> None:
    for source in sources:
        url = urllib.parse.urlsplit(source.url)
        published = {port["target"] for port in services[url.hostname or ""]["ports"]}
        assert url.port in published, source.name


@pytest.mark.parametrize("dashboard", sorted((ROOT / "grafana" / "json").glob("*.json")), ids=lambda path: path.stem)
def test_a_dashboard_asks_provisioned_data_sources(dashboard: Path, sources: list[DataSource]) -> None:
    known: dict[str, str] = {source.uid: source.type for source in sources}
    asked = set(referred_sources(json.loads(dashboard.read_text())))

    assert asked
    assert asked <= set(known.items())


def referred_sources(node: Any) -> Iterator[tuple[str, str]]:
    """Every data source that a dashboard names, but for variables and what is built into Grafana."""
    if isinstance(node, dict):
        source = node.get("datasource")
        if isinstance(source, dict) and not str(source.get("uid", "")).startswith(("-- ", "$", "grafana")):
            yield source["uid"], source["type"]
        for value in node.values():
            yield from referred_sources(value)
    elif isinstance(node, list):
        for value in node:
            yield from referred_sources(value)

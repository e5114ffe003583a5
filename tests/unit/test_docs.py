"""The documentation is true: every page's Python runs, generated pages are current, links and the strict build hold."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import opentelemetry.environment_variables
import opentelemetry.sdk.environment_variables
import pytest

from spanguard.config_manager import load_profile
from spanguard.guard import GuardRegistry
from spanguard.stack import GoMissingError, Stack, StackSettings
from spanguard.testing import OtlpReceiver

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAPERS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
PAGES = [*PAPERS, *sorted(DOCS.rglob("*.md"))]
NOT_RUN = re.compile(r"<!-- not run: (?P<reason>.+) -->")
FENCE = re.compile(r"(?P<indent> *)```(?P<language>\w*)(?P<options>[^`]*)")


def python_of(page: Path) -> str:
    """The Python blocks of a page as one program, each on the line where it stands in the page."""
    program, indent, skipped = [], None, ""
    for line in page.read_text("utf-8").splitlines():
        fence = FENCE.fullmatch(line)
        if indent is not None and line.strip() == "```":
            indent = None
            program.append("")
        elif indent is not None:
            program.append(line.removeprefix(indent))
        elif fence and fence["language"] == "python":
            assert not skipped, f"{page.name}: Python is always run; 'not run' is for shell: {skipped}"
            indent = fence["indent"]
            program.append("")
        else:
            program.append("")
            if line.strip():
                skipped = "" if (found := NOT_RUN.fullmatch(line.strip())) is None else found["reason"]
    assert indent is None, f"{page.name}: a block is not closed"
    return "\n".join(program)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def needs_the_stack(page: Path) -> bool:
    return "spanguard.stack" in python_of(page)


def pages_with_python() -> list[object]:
    marks = (pytest.mark.stack, pytest.mark.timeout(900))
    return [
        pytest.param(page, id=name_of(page), marks=marks if needs_the_stack(page) else ())
        for page in PAGES
        if python_of(page).strip()
    ]


@pytest.fixture
def environment(otlp_receiver: OtlpReceiver) -> dict[str, str]:
    """What a page's program sees: nothing of the tester's own telemetry or settings, and a collector that answers."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "SPANGUARD_", "TGE_"))}
    cache = {key: os.environ[key] for key in ("SPANGUARD_CACHE",) if key in os.environ}
    return {
        **clean,
        **cache,
        "OTEL_EXPORTER_OTLP_ENDPOINT": otlp_receiver.endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "PYTHONUTF8": "1",
    }


@pytest.mark.slow
@pytest.mark.parametrize("page", pages_with_python())
def test_the_python_of_every_page_runs(page: Path, environment: dict[str, str], tmp_path: Path) -> None:
    if needs_the_stack(page):
        build_the_stack(tmp_path)
    program = tmp_path / f"page_{page.stem}.py"  # not the name of a library that the page is about
    program.write_text(python_of(page), "utf-8")

    ran = subprocess.run(
        [sys.executable, "-W", "error:::__main__", program],
        check=False,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )

    assert ran.returncode == 0, f"{name_of(page)} (the line numbers are the page's own)\n{ran.stdout}{ran.stderr}"


def build_the_stack(scratch: Path) -> None:
    try:
        Stack(StackSettings.load(data_dir=scratch / "stack")).build()
    except GoMissingError as error:
        if os.environ.get("SPANGUARD_REQUIRE_STACK") == "1":
            raise
        pytest.skip(str(error))


@pytest.mark.slow
def test_the_zero_code_example_emits_the_registrys_signals(
    environment: dict[str, str], otlp_receiver: OtlpReceiver, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(python_of(DOCS / "zero-code.md"), "utf-8")
    instrument = Path(sys.executable).with_name("opentelemetry-instrument")

    ran = subprocess.run(
        [instrument, sys.executable, "app.py"],
        check=False,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )

    assert ran.returncode == 0, ran.stderr
    signals = otlp_receiver.signals
    rejected = {"spanguard.policy.name": "payments", "spanguard.circuit_breaker.outcome": "rejected"}
    assert signals.value("spanguard.circuit_breaker.calls", rejected) == 1
    assert signals.value("spanguard.rate_limiting.requests", {"spanguard.rate_limiting.result": "rejected"}) == 1
    assert [
        event.attributes["spanguard.circuit_breaker.transition.to"]
        for event in signals.events()
        if event.name == "spanguard.circuit_breaker.state_change"
    ] == ["open"]


def test_the_page_of_the_signals_is_what_the_registry_says() -> None:
    ran = subprocess.run(
        [sys.executable, DOCS / "generate_signals.py", "--check"], capture_output=True, text=True, check=False
    )

    assert ran.returncode == 0, ran.stderr


def test_the_drawings_of_the_strategies_are_what_the_limiters_do() -> None:
    ran = subprocess.run(
        [sys.executable, DOCS / "draw_strategies.py", "--check"], capture_output=True, text=True, check=False
    )

    assert ran.returncode == 0, ran.stderr


def test_the_tables_on_the_page_of_profiles_are_a_profile(tmp_path: Path) -> None:
    blocks = re.findall(
        r"^```toml\n(.*?)^```", (DOCS / "profiles.md").read_text("utf-8"), flags=re.DOTALL | re.MULTILINE
    )
    page = tmp_path / "page.toml"
    page.write_text("\n".join(blocks), "utf-8")

    profile = load_profile(page)

    assert len(blocks) > 2
    GuardRegistry().check(profile)


def test_every_variable_of_the_sdk_is_on_the_page_of_telemetry() -> None:
    modules = (opentelemetry.environment_variables, opentelemetry.sdk.environment_variables)
    known = {name for module in modules for name in vars(module) if name.startswith("OTEL_")}
    written = (DOCS / "telemetry.md").read_text("utf-8")

    assert sorted(name for name in known if f"`{name}`" not in written) == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_between_pages_lead_to_files(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    targets = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]

    assert [target for target in targets if target and not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_shows_no_path_of_a_machine_and_begins_with_its_title(page: Path) -> None:
    text = page.read_text("utf-8")

    assert text.startswith("# ")
    assert re.findall(r"(?:/root|/work|/home/\w+)/", text) == []


@pytest.mark.slow
def test_the_site_builds_strictly_and_fetches_nothing_from_elsewhere(tmp_path: Path) -> None:
    site = tmp_path / "site"

    ran = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", site],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    loads = re.compile(
        r"<(?:script|img|iframe)[^>]*\ssrc=\"?(https?:[^\"\s>]+)|<link[^>]*rel=\"?(?:stylesheet|preconnect)[^>]*href=\"?(https?:[^\"\s>]+)"
    )
    pages = list(site.rglob("*.html"))
    assert len(pages) > len(list(DOCS.rglob("*.md")))
    assert {match[0] for page in pages for match in loads.finditer(page.read_text("utf-8"))} == set()

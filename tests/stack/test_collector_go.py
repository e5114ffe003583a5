"""The collector's own Go code: its checks, its tests against the real Alertmanager, and what the distribution is made of."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from spanguard.stack import Stack

COLLECTOR = Path(__file__).parents[2] / "collector"
EXPORTER = COLLECTOR / "alertmanagerexporter"


def run(*command: str | Path, **env: str) -> str:
    done = subprocess.run(command, cwd=EXPORTER, env=os.environ | env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.go
@pytest.mark.timeout(600)
def test_the_exporters_go_tests_pass_against_the_real_alertmanager(stack: Stack) -> None:
    alertmanager = stack.build()["alertmanager"] / "alertmanager"

    told = run("go", "test", "-count=1", "-v", "./...", SPANGUARD_ALERTMANAGER_BIN=str(alertmanager))

    assert "--- PASS: TestARealAlertmanagerShowsTheAlertAndItsResolution" in told
    assert "--- SKIP" not in told


@pytest.mark.go
@pytest.mark.timeout(600)
def test_the_exporters_code_is_formatted_and_vetted(stack: Stack) -> None:
    assert run("gofmt", "-l", ".") == ""
    run("go", "vet", "./...")


def test_the_distributions_go_mod_requires_each_module_of_the_manifest_at_its_version() -> None:
    manifest = dict(re.findall(r"gomod: (\S+) (\S+)", (COLLECTOR / "builder.yaml").read_text("utf-8")))
    required = dict(
        re.findall(r"^\t(\S+) (v\S+)$", (COLLECTOR / "distribution" / "go.mod").read_text("utf-8"), re.MULTILINE)
    )

    assert len(manifest) > 20
    assert {module: required.get(module) for module in manifest} == manifest

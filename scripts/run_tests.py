"""Everything that `make test` does: prepare the machine, run each check, end with one summary.

Runs on the bare interpreter, before anything is installed. What cannot run here is left out and named, one line each.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / os.environ.get("VENV", ".venv")
REPORTS = ROOT / ".spanguard" / "reports"
OTHER_PYTHONS = ("3.12", "3.13")
COVERAGE = ("--cov", "--cov-report=term:skip-covered")
REQUIRE_STACK = os.environ.get("SPANGUARD_REQUIRE_STACK") == "1"

# Program that a test looks for -> Debian package that brings it.
DEBIAN_PACKAGES = {
    "redis-server": "redis-server",
    "dockerd": "docker.io",
    "initdb": "postgresql",
    "chromium": "chromium",
    "openssl": "openssl",
}


@dataclass(slots=True)
class Summary:
    """What was done, what failed, what was left out."""

    lines: list[tuple[str, str, float]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    @property
    def is_good(self) -> bool:
        """Whether every step and every test succeeded."""
        return self.failed == 0 and all(result == "ok" for _, result, _ in self.lines)


def main() -> int:
    """Run all steps, print the summary, return the exit code."""
    shutil.rmtree(REPORTS, ignore_errors=True)
    REPORTS.mkdir(parents=True)
    summary = Summary()
    install_debian_packages(summary)
    if step(summary, "install", ["make", "--no-print-directory", f"{VENV.name}/.dev", f"VENV={VENV.name}"]):
        step(summary, "lint", ["make", "--no-print-directory", "lint", f"VENV={VENV.name}"])
        build_stack(summary)
        tested = ["tests/unit", "tests/property", "tests/integration"]
        pytest(summary, "tests", VENV, ["-n", "auto", *COVERAGE, "-m", "not fuzz", *tested])
        # Measuring what so many cases cover would take longer than the cases.
        pytest(summary, "tests of any input", VENV, ["-n", "auto", "-m", "fuzz", *tested])
        pytest(summary, "tests in a browser", VENV, ["tests/browser"])
        pytest(summary, "tests on the real stack", VENV, ["tests/stack"])
        for version in OTHER_PYTHONS:
            test_on_other_python(summary, version)
        step(summary, "documentation", ["make", "--no-print-directory", "docs", f"VENV={VENV.name}"])
    print_summary(summary)
    return 0 if summary.is_good else 1


def install_debian_packages(summary: Summary) -> None:
    """Install the Debian packages whose programs are missing, where that is possible."""
    missing = [package for program, package in DEBIAN_PACKAGES.items() if not is_installed(program)]
    if not missing:
        return
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        reason = "there is no apt-get" if shutil.which("apt-get") is None else "only root may install packages"
        summary.left_out.update(f"{package} was not installed: {reason}" for package in missing)
        return
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    step(summary, "package lists", ["apt-get", "update", "-qq"], environment)
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "-o", "Dpkg::Use-Pty=0", *missing]
    # Runlevel 1: a server that Debian starts by itself would hold a port and outlive the tests.
    step(summary, f"packages: {', '.join(missing)}", command, {**environment, "RUNLEVEL": "1"})


def is_installed(program: str) -> bool:
    """Whether a program is on the PATH, or where Debian keeps those of PostgreSQL."""
    return shutil.which(program) is not None or any(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))


def build_stack(summary: Summary) -> None:
    """Build the native servers, or say why not; the tests that need them skip themselves."""
    if shutil.which("go") is None and not REQUIRE_STACK:
        summary.left_out["no Go toolchain (https://go.dev/doc/install), so no server was built"] += 1
    else:
        step(summary, "stack build", [str(VENV / "bin" / "spanguard"), "stack", "build"])


def test_on_other_python(summary: Summary, version: str) -> None:
    """Run the unit and property tests on another CPython, in an environment of its own."""
    python = find_python(version)
    if python is None:
        summary.left_out[f"the unit tests on CPython {version}: that interpreter was not found"] += 1
        return
    venv = VENV.with_name(f"{VENV.name}-{version}")
    uv = VENV / "bin" / "uv"
    install = [
        ["env", "-u", "PYTHONPATH", str(uv), "venv", "--quiet", "--allow-existing", "--python", python, str(venv)],
        [
            str(uv),
            "pip",
            "install",
            "--quiet",
            "--python",
            str(venv / "bin" / "python"),
            "--constraints",
            "constraints.txt",
            "--editable",
            ".[dev]",
        ],
    ]
    if all(step(summary, f"install for CPython {version}", command) for command in install):
        arguments = ["-n", "auto", "tests/unit", "tests/property"]
        # What a cleaner makes of any input hardly depends on the interpreter: the first one has tried many.
        environment = {"SPANGUARD_FUZZ": "200", **os.environ}
        pytest(summary, f"unit tests on CPython {version}", venv, arguments, environment)


def find_python(version: str) -> str | None:
    """Return an interpreter of this version that really runs: on the PATH, or among pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = [shutil.which(f"python{version}"), *map(str, sorted(pyenv.glob(f"versions/{version}.*/bin/python")))]
    for candidate in filter(None, candidates):
        if subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode == 0:
            return candidate
    return None


def pytest(
    summary: Summary, name: str, venv: Path, arguments: Sequence[str], environment: dict[str, str] | None = None
) -> None:
    """Run pytest and add up what it counted."""
    report = REPORTS / f"{len(summary.lines)}.xml"
    command = [str(venv / "bin" / "python"), "-m", "pytest", "-q", f"--junitxml={report}", *arguments]
    step(summary, name, command, environment)
    if not report.exists():
        summary.failed += 1
        return
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - pytest wrote it a moment ago
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            summary.failed += 1
        elif skipped is not None:
            summary.skipped += 1
            summary.left_out[(skipped.get("message") or "skipped").splitlines()[0]] += 1
        else:
            summary.passed += 1


def step(summary: Summary, name: str, command: Sequence[str], environment: dict[str, str] | None = None) -> bool:
    """Run one command with its output in plain sight; tell whether it succeeded."""
    print(f"\n==> {name}", flush=True)
    started = time.monotonic()
    code = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
    summary.lines.append((name, "ok" if code == 0 else f"failed (exit code {code})", time.monotonic() - started))
    return code == 0


def print_summary(summary: Summary) -> None:
    """Print one summary: each step, what was left out, and the sum of all tests."""
    print("\n==> summary")
    for name, result, seconds in summary.lines:
        print(f"  {name:<40} {result:<24} {seconds:7.1f} s")
    for reason, times in summary.left_out.items():
        print(f"  left out: {reason}" + (f" ({times} tests)" if times > 1 else ""))
    print(f"{summary.passed} passed, {summary.failed} failed, {summary.skipped} skipped", flush=True)


if __name__ == "__main__":
    sys.exit(main())

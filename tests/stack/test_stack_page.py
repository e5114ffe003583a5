"""What docs/stack.md tells people to run does what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import psutil

from spanguard.stack import Stack

PAGE = Path(__file__).parents[2] / "docs" / "stack.md"


def test_the_python_example_brings_the_servers_up_and_takes_them_down(stack: Stack, tmp_path: Path) -> None:
    assert stack.status().healthy
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)

    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False
    )

    assert ran.returncode == 0, ran.stderr
    assert len(re.findall(r"^\w+: healthy at ", ran.stdout, re.MULTILINE)) == len(stack.status().servers)
    assert re.search(r"^(http://127\.0\.0\.1:\d+ ?){5}$", ran.stdout, re.MULTILINE)
    assert str(tmp_path) not in "".join(process.info["cwd"] or "" for process in psutil.process_iter(["cwd"]))

from __future__ import annotations

import re
from pathlib import Path

import pytest

from spanguard.cli.stack import app as stack_commands
from spanguard.stack import StackSettings
from spanguard.stack.manifest import read_manifest, stack_files

PAGE = Path(__file__).parents[2] / "docs" / "stack.md"


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text()


def test_the_page_lists_every_port_with_its_default(page: str) -> None:
    listed = {name: int(port) for name, port in re.findall(r"^\| `([a-z_]+)` \| (\d+) \|", page, re.MULTILINE)}

    assert listed == read_manifest(stack_files()).ports


def test_the_page_lists_every_setting_with_its_default(page: str) -> None:
    rows = re.findall(r"^\| `SPANGUARD_STACK_(\w+?)(?:__<NAME>)?` \| (.+?) \|", page, re.MULTILINE)
    listed = {name.lower(): default for name, default in rows}
    plain = {
        name: f"{field.default:g}" if isinstance(field.default, float) else str(field.default).lower()
        for name, field in StackSettings.model_fields.items()
        if isinstance(field.default, (bool, float))
    }

    assert set(listed) == set(StackSettings.model_fields)
    assert plain == {name: listed[name] for name in plain}


def test_the_page_names_every_command_and_no_other(page: str) -> None:
    named = set(re.findall(r"spanguard stack ([a-z]+)", page))
    commands = {command.callback.__name__ for command in stack_commands.registered_commands if command.callback}

    assert named == commands

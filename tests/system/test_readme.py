"""Do the README's commands work, and is the output it quotes what they print?"""

import re
import shlex
from pathlib import Path

import pytest

from tests.conftest import ROOT, Dcsim

BLOCKS = re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
COMMANDS = [block.splitlines() for block in BLOCKS]


def words(line: str) -> list[str]:
    """The arguments of a quoted command, with paths into the checkout made absolute."""
    return [str(ROOT / word) if word.startswith("models/") else word for word in shlex.split(line)[2:]]


@pytest.mark.parametrize("block", [b for b in COMMANDS if len(b) > 1 and not b[1].startswith("$")], ids=lambda b: b[0])
def test_quoted_output_is_what_is_printed(dcsim: Dcsim, block: list[str]) -> None:
    done = dcsim(*words(block[0]))
    assert done.returncode == 0, done.stderr
    assert [line.rstrip() for line in done.stdout.splitlines()] == block[1:]


def test_step_by_step_commands_work_in_order(dcsim: Dcsim) -> None:
    (steps,) = [block for block in COMMANDS if len(block) > 1 and block[1].startswith("$")]
    for line in steps:
        done = dcsim(*words(line))
        assert done.returncode == 0, (line, done.stderr)


def test_the_network_and_recipe_of_ones_own_run_as_printed(dcsim: Dcsim, tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text()
    for name in ("mynet.py", "my.yaml"):
        (block,) = re.findall(rf"```\w+\n(# {name}\n.*?)```", text, re.DOTALL)
        (tmp_path / name).write_text(block)
    (command,) = re.findall(r"`(dcsim run mynet.*?)`", text)
    done = dcsim(*shlex.split(command)[1:])
    assert done.returncode == 0, done.stderr
    assert "huffman" in done.stdout


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text())
    assert links
    assert not [link for link in links if "://" not in link and not (ROOT / link).exists()]

"""Does the manual, README and docs/, do what it says: commands print what is quoted, files and code work, links lead on?"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import typer

import dcsim.cli  # registers the commands
from dcsim.config import Spec, parse_spec
from dcsim.report.schemas import KINDS
from tests.conftest import ROOT, Dcsim

PAGES = {
    path.relative_to(ROOT).as_posix(): path for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
}
#: what the files of the manual describe
KIND_OF = {
    "my.yaml": "recipe",
    "layers.yaml": "network",
    "network.yaml": "network",
    "chip.yaml": "soc",
    "budget.yaml": "budget",
    "what-if.yaml": "sweep",
    "wake.yaml": "sweep",
    "billion.yaml": "sweep",
}
OF_ANOTHER = ("# .github/workflows/", "# yaml-language-server:")
EXIT_CODE = re.compile(r"\[exit code (\d+)\]")


class Block(NamedTuple):
    """A fenced block: its language, its text, and the file that its first line names."""

    language: str
    text: str
    file: str


def blocks(page: str) -> list[Block]:
    found = []
    for language, text in re.findall(r"^```(\w+)\n(.*?)^```", PAGES[page].read_text(), re.DOTALL | re.MULTILINE):
        named = re.match(r"# ([\w-]+\.(?:py|yaml))\b", text)
        found.append(Block(language, text, named[1] if named else ""))
    return found


def pages_with(language: str) -> list[str]:
    return [page for page in PAGES if any(block.language == language and not block.file for block in blocks(page))]


def write_files(page: str, folder: Path) -> None:
    for block in blocks(page):
        if block.file:
            (folder / block.file).write_text(block.text)


def steps(text: str) -> list[tuple[str, list[str], int]]:
    """(command, lines that it prints, exit code) of a console block."""
    found = []
    for step in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, *lines = step.rstrip().splitlines()
        code = EXIT_CODE.fullmatch(lines[-1]) if lines else None
        found.append((command, lines[:-1] if code else lines, int(code[1]) if code else 0))
    return found


def words(line: str) -> list[str]:
    """The arguments of a quoted command, with paths into the checkout made absolute."""
    return [str(ROOT / word) if word.startswith("models/") else word for word in shlex.split(line)[1:]]


@pytest.mark.parametrize("page", pages_with("console"))
def test_commands_work_in_order_and_print_what_is_quoted(page: str, dcsim: Dcsim, tmp_path: Path) -> None:
    write_files(page, tmp_path)
    for block in blocks(page):
        for command, lines, code in steps(block.text) if block.language == "console" else ():
            done = dcsim(*words(command))
            assert done.returncode == code, (command, done.stderr)
            if lines:
                assert [line.rstrip() for line in done.stdout.splitlines()] == lines


@pytest.mark.parametrize("page", pages_with("python"))
def test_python_runs_as_printed(page: str, tmp_path: Path) -> None:
    write_files(page, tmp_path)
    script = "\n".join(block.text for block in blocks(page) if block.language == "python" and not block.file)
    environment = os.environ | {"DCSIM_CACHE": str(tmp_path / "cache"), "MPLBACKEND": "agg"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", pages_with("yaml") + [page for page in PAGES if any(b.file for b in blocks(page))])
def test_yaml_is_what_dcsim_reads(page: str) -> None:
    for block in blocks(page):
        if block.language == "yaml" and not block.text.startswith(OF_ANOTHER):
            spec_class: type[Spec] = KINDS[KIND_OF[block.file]]
            assert parse_spec(spec_class, block.text, block.file)


def test_the_network_and_recipe_of_ones_own_run_as_printed(dcsim: Dcsim, tmp_path: Path) -> None:
    write_files("README.md", tmp_path)
    (command,) = re.findall(r"`(dcsim run mynet.*?)`", (ROOT / "README.md").read_text())
    done = dcsim(*shlex.split(command)[1:])
    assert done.returncode == 0, done.stderr
    assert "huffman" in done.stdout


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[\w-]+)?\)", PAGES[page].read_text())
    assert not [link for link in links if "://" not in link and not (PAGES[page].parent / link).exists()]


@pytest.mark.parametrize("page", PAGES)
def test_files_of_the_checkout_that_are_named_exist(page: str) -> None:
    named = re.findall(r"`((?:tests|benchmarks|configs|models|notebooks|dcsim)/[\w./-]+)`", PAGES[page].read_text())
    assert not [name for name in named if "NAME" not in name and not (ROOT / name).exists()]


def commands_of(page: str) -> list[str]:
    """Everything a page says to type: lines of shell, quoted commands, commands in the running text."""
    text = PAGES[page].read_text()
    lines = [
        line
        for block in blocks(page)
        if block.language != "python"
        for line in block.text.replace("\\\n", "").splitlines()
    ]
    typed = [line.strip().removeprefix("$ ") for line in lines]
    return [line for line in [*typed, *re.findall(r"`(dcsim [^`]+)`", text)] if re.match(r"dcsim (?!\d|--help)", line)]


def unknown_options(line: str) -> list[str]:
    """Options of a command that it does not have; the command itself where there is none."""
    given = re.split(r"\s(?:#|\|\||&&)\s", line)[0].split(" > ")[0]
    found = typer.main.get_command(dcsim.cli.app)
    rest = shlex.split(given)[1:]
    while hasattr(found, "commands"):
        if rest and rest[0] in found.commands:
            found, rest = found.commands[rest[0]], rest[1:]
        elif "network" in found.commands:  # `trace NETWORK` is short for `trace network NETWORK`
            found = found.commands["network"]
        else:
            return rest[:1]
    known = {option for parameter in found.params for option in (*parameter.opts, *parameter.secondary_opts)}
    return [word for word in rest if re.match(r"--?[a-z]", word) and word.split("=")[0] not in known | {"--help"}]


@pytest.mark.parametrize("page", [page for page in PAGES if commands_of(page)])
def test_commands_have_the_options_that_they_are_given(page: str) -> None:
    assert {line: found for line in commands_of(page) if (found := unknown_options(line))} == {}


@pytest.mark.parametrize(
    "line", ["dcsim rnu lenet-5", "dcsim run lenet-5 --socc mobile45", "dcsim trace lenet-5 --o x"]
)
def test_a_command_that_is_none_is_found(line: str) -> None:
    assert unknown_options(line)


def test_nothing_is_left_to_be_said() -> None:
    assert not [page for page in PAGES if re.search(r"TODO|FIXME", PAGES[page].read_text())]

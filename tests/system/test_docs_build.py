"""Does the manual build without a warning, and is everything in it that the code has?"""

import re
import subprocess
import sys
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import typer

import dcsim.cli  # registers the commands
from dcsim.config import parse_yaml
from dcsim.report.schemas import KINDS, schema
from tests.conftest import ROOT

pytestmark = pytest.mark.xdist_group("docs")  # one build serves them all


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs")
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--nitpicky", "--keep-going", "--quiet"]
    done = subprocess.run(
        [*command, "-d", folder / "doctrees", ROOT / "docs", folder / "html"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder / "html"


def words(page: Path) -> str:
    return unescape(re.sub(r"<[^>]+>", "", page.read_text()))


def leaves(group: Any, before: str = "dcsim ") -> list[str]:
    found = []
    for name, command in group.commands.items():
        found += leaves(command, f"{before}{name} ") if hasattr(command, "commands") else [before + name]
    return found


def test_every_page_is_built(built: Path) -> None:
    sources = {path.relative_to(ROOT / "docs").with_suffix("").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert sources <= {path.relative_to(built).with_suffix("").as_posix() for path in built.rglob("*.html")}


def test_every_command_with_every_option_is_there(built: Path) -> None:
    text = words(built / "reference" / "commands.html")
    commands = leaves(typer.main.get_command(dcsim.cli.app))
    assert len(commands) > 18
    assert not [command for command in commands if f"\n{command}" not in text]
    for option in ("--save-placement", "--prune-density", "--arrivals"):
        assert option in text


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_with_its_meaning_is_there(built: Path, kind: str) -> None:
    whole = schema(kind)
    text = words(built / "reference" / f"{kind}.html")
    for part in (whole, *whole.get("$defs", {}).values()):
        for key, about in part["properties"].items():
            assert key in text
            assert about["description"].replace("`", "") in text, (key, about["description"])


def test_public_functions_and_results_are_there(built: Path) -> None:
    text = words(built / "reference" / "python.html")
    names = [*dcsim.__all__, "energy_pj_per_frame", "sustainable_fps", "ledger_frame", "Verdict", "pareto"]
    assert not [name for name in names if name not in text]


def test_validation_shows_what_the_command_prints(built: Path) -> None:
    text = words(built / "background" / "validation.html")
    assert re.search(r"\d+ figures, \d+ of them with a tolerance, all within it", text)
    assert "NT-We" in text


def test_pages_load_nothing_from_elsewhere(built: Path) -> None:
    loaded = [
        link
        for page in built.rglob("*.html")
        for link in re.findall(r"<(?:script|img|link)[^>]+(?:src|href)=\"([^\"]+)", page.read_text())
    ]
    assert loaded
    assert not [link for link in loaded if "//" in link]


def test_the_citation_has_what_its_format_requires() -> None:
    content, _, faults = parse_yaml((ROOT / "CITATION.cff").read_text(), "CITATION.cff")
    assert not faults
    assert content.keys() >= {"cff-version", "message", "title", "authors"}  # required by version 1.2.0
    assert content["cff-version"] == "1.2.0"
    assert str(content["version"]) == dcsim.__version__
    assert content["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    for entry in (content, *content["references"]):
        assert entry["title"]
        assert entry["type"]
        assert all("name" in author or {"family-names", "given-names"} <= author.keys() for author in entry["authors"])

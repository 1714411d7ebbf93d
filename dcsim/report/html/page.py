"""A run, or several beside each other, as one HTML file that needs no network, no server and no installation."""

import base64
import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dcsim import __version__
from dcsim.files import write_bytes
from dcsim.report.html.bundle import javascript_bundle, require_report_packages
from dcsim.report.html.charts import charts
from dcsim.report.html.data import page_data, run_data
from dcsim.report.run_folder import RunFolder

TEMPLATES = Path(__file__).with_name("templates")
#: in the order in which they build on each other
SCRIPTS = ("format.js", "tables.js", "columns.js", "whatif.js", "rerun.js", "panel.js", "report.js", "evidence.js")


def write_report(folders: Sequence[RunFolder], output: Path) -> None:
    """Write the page. The same folders under the same names give the same bytes.

    Raises:
        ConfigError: a package that it takes is not installed.
        OutputError: the file cannot be written.
    """
    require_report_packages()
    write_bytes(output, page(folders).encode())


def page(folders: Sequence[RunFolder]) -> str:
    """The page as text."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    runs = [run_data(folder) for folder in folders]
    content = page_data() | {"charts": charts(), "runs": runs}
    return environment.get_template("report.html").render(
        version=__version__,
        title=runs[0]["name"] if len(runs) == 1 else f"{len(runs)} runs",
        runs=runs,
        data=_packed(content),
        style=_read("report.css"),
        scripts=[_safe(script) for script in (javascript_bundle(), *map(_read, SCRIPTS))],
    )


def _read(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _safe(script: str) -> str:
    """Inside <script> nothing but its end is read by HTML."""
    return script.replace("</script", r"<\/script").replace("<!--", r"<\!--")


def _packed(content: Any) -> str:
    """JSON, compressed, in Base64: the ledger of a large network is mostly the same words."""
    text = json.dumps(content, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()

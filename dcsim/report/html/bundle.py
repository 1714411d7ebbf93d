"""The JavaScript that draws the charts: Vega, Vega-Lite and Vega-Embed, which vl-convert carries with it."""

import importlib.util

from dcsim.datasets import cache_folder
from dcsim.errors import ConfigError, OutputError
from dcsim.files import is_file, write_bytes

NEEDED = {"jinja2": "jinja2", "vl_convert": "vl-convert-python"}
SNIPPET = "window.vegaEmbed = vegaEmbed;"


def require_report_packages() -> None:
    """Refuse to write a page without what it takes. Raises ConfigError."""
    missing = [name for module, name in NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise ConfigError(f"a report needs {' and '.join(missing)}: pip install 'dcsim[report]'")


def javascript_bundle() -> str:
    """All that draws, as one script. Making it takes a second, so the user cache keeps it by version."""
    from importlib.metadata import version

    path = cache_folder() / "report" / f"vega-{version('vl-convert-python')}.js"
    if is_file(path):
        return path.read_text(encoding="utf-8")
    import vl_convert

    bundle = f"(() => {{{vl_convert.javascript_bundle(SNIPPET)}}})();"  # its names are its own
    try:
        write_bytes(path, bundle.encode())
    except OutputError:  # a cache that cannot be written costs time, nothing else
        return bundle
    return bundle

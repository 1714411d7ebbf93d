"""How the manual is built: `make docs`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from generated import replace_markers

import dcsim

project = "dcsim"
author = "the dcsim authors"
project_copyright = author
version = release = dcsim.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
smartquotes = False  # `--as-is` is no dash
html_theme = "furo"
html_title = f"dcsim {version}"
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["manual.css"]
html_show_sphinx = False

myst_enable_extensions = ["fieldlist"]
myst_heading_anchors = 3

default_role = "code"  # docstrings quote names as `name`
napoleon_use_ivar = True
napoleon_numpy_docstring = False
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
# types in signatures are not pages of this manual
nitpick_ignore_regex = [("py:.*", r"(?!dcsim\.(\w+)$).*")]
suppress_warnings = ["ref.python"]  # attributes of two classes may have one name


def setup(app):
    """Pages say `<!-- generated: ... -->` where the code knows what belongs there."""
    app.connect("source-read", replace_markers)

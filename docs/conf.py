"""How Sphinx builds the manual: `make docs`. It works offline, and takes no font, script or service from elsewhere."""

import sys
from pathlib import Path
from typing import Any

from pygments.lexers.special import TextLexer

import interlock

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "scripts"))

import manual  # noqa: E402 -- it stands in scripts/

project = "Interlock"
author = copyright = "The Interlock authors"  # noqa: A001 -- Sphinx's name for it
version = release = interlock.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["conf.py", "static"]
# Fields of several classes have one name, such as `type`; which of them an annotation means is of no interest.
suppress_warnings = ["ref.python"]
# Headings of the levels that other pages link to.
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence", "deflist"]

html_theme = "furo"
html_title = f"Interlock {release}"
html_static_path = ["static"]
html_css_files = ["manual.css"]
html_theme_options = {"source_view_link": ""}
html_copy_source = False

# A signature that does not fit gets a line for each parameter.
python_maximum_signature_line_length = 88

# Docstrings are Google's sections with Markdown's single backticks.
default_role = "code"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
# With what they inherit from bases of Interlock's own, and without what every model, exception or graph has.
autodoc_default_options = {
    "members": True,
    "inherited-members": "BaseModel,BaseException,Pregel,BaseCheckpointSaver,BaseChatModel,Runnable,StrEnum,str",
}
autodoc_preserve_defaults = True


def setup(app: Any) -> None:
    """Write the pages that are made from code, before Sphinx looks for pages."""
    # Drawn by hosts of repositories; here the text stands as it is.
    app.add_lexer("mermaid", TextLexer)
    manual.write(HERE / "reference")
    app.connect("autodoc-skip-member", manual.skips)
    app.connect("autodoc-process-docstring", manual.link_pages)

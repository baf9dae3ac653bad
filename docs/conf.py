"""
Sphinx: how ``docs/`` becomes a site.

``sphinx-build -n -W --keep-going docs build/site`` makes it.  The pages stay plain reStructuredText
that a forge shows: what only a site has is in ``_site``.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import reqresp

project = "reqresp"
version = release = reqresp.__version__
root_doc = "index"
extensions = ["sphinx.ext.autodoc", "docs._site.extension"]
# Each of these is included by a page.
exclude_patterns = ["performance-table.rst", "reliability-*.rst"]

html_theme = "furo"
html_title = "reqresp"
html_copy_source = False
html_show_copyright = False
html_static_path = ["_static"]
html_css_files = ["site.css"]

smartquotes = False
default_role = "py:obj"
autodoc_typehints = "signature"
autodoc_class_signature = "mixed"
autodoc_member_order = "bysource"
python_maximum_signature_line_length = 88
add_module_names = False

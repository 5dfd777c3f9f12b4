"""Settings of Sphinx for the documentation site: ``sphinx-build -n -W --keep-going docs docs/_build``.

The build needs no network, and neither do the pages: scripts, styles and fonts come with the theme.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # for the extensions there

import sansio_smtp

project = "sansio-smtp"
author = "The sansio-smtp authors"
version = release = sansio_smtp.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "site_links", "site_names"]
exclude_patterns = ["_build"]

# The address of the repository, such as "https://forge.example/owner/sansio-smtp". With it, links to
# files of the repository lead there; without it, these files are downloads.
repository_url = ""

myst_heading_anchors = 4  # as they are on GitHub
myst_enable_extensions = ["attrs_inline"]

smartquotes = False  # an option keeps both of its hyphens
default_role = "py:obj"  # what stands in single backticks in a docstring is a name
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
# Types in signatures that are not public, or are of Python, have no page: they are shown without a link.
nitpick_ignore_regex = [
    ("py:class", r"(sansio_smtp|trio_proxy|collections|random|pathlib|ipaddress|pytest|hypothesis)\..*"),
    ("py:obj", r"typing\..*"),
]
# Names that docstrings say to those who read the code.
nitpick_ignore = [
    ("py:class", "EmailMessage"),
    *(
        ("py:obj", name)
        for name in (
            "CONTENT_PLACES",
            "END_OF_INPUT",
            "EmailMessage",
            "Mailbox.routes",
            "Options",
            "Tally",
            "Tally.slow",
            "access_of",
            "conn",
            "identity",
            "mime.decode",
            "next_event",
            "phase",
            "receive_data",
            "sansio_smtp.questions",
            "sansio_smtp.rules.patterns",
            "sansio_smtp.rules.phases",
            "sansio_smtp.verbs.VERBS",
        )
    ),
]

html_theme = "furo"
html_title = f"sansio-smtp {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_copyright = False  # the licence says it
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}

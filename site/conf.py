"""The course as a static site: `make site` builds it, without a network.

Sphinx reads the notebooks as they are committed and runs nothing.  What the notebooks and pages say
in plain Markdown becomes more on the site, and none of it has to be written twice:

* a cell with the tag `solution` is folded away, as JupyterLab folds it;
* the first bold use of a glossary's term in a chapter leads to the glossary;
* a link to a file that is no page leads to the file in the repository;
* formulas become MathML, which browsers draw themselves.

A page takes nothing from another host: no fonts, no scripts, no figures.
"""

from __future__ import annotations

import json
import re
from pathlib import PurePosixPath

import latex2mathml.converter
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.nodes import make_refnode

project = "labkit"
html_title = "labkit"
copyright = "the labkit authors"
language = "en"

extensions = ["myst_nb", "sphinx_copybutton"]
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}
exclude_patterns = ["**/.ipynb_checkpoints"]

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4

nb_execution_mode = "off"
nb_merge_streams = True
# Widgets need a kernel; their static face is the one beside them.
nb_ipywidgets_js = {}
nb_mime_priority_overrides = [("html", "application/vnd.jupyter.widget-view+json", None)]

copybutton_exclude = ".linenos, .gp, .go"
html_math_renderer = "mathml"
html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["labkit.css"]
html_favicon = "static/labkit.svg"
html_logo = "static/labkit.svg"
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "light_css_variables": {
        "color-brand-primary": "#0072B2",
        "color-brand-content": "#0072B2",
        "color-brand-visited": "#0072B2",
    },
    "dark_css_variables": {
        "color-brand-primary": "#56B4E9",
        "color-brand-content": "#56B4E9",
        "color-brand-visited": "#56B4E9",
    },
}

GLOSSARY = "docs/glossary"
REPOSITORY = "https://github.com/labkit-dev/labkit/blob/HEAD/"
TO_A_FILE = re.compile(r"(?<=\]\()(?:\.\./)+(?!docs/|notebooks/|[0-9]{2}-)(?=[\w/.-]+\))")
FOLDED = {"en": "Show a solution", "zh": "显示答案"}


def is_chinese(name: str) -> bool:
    return "zh" in PurePosixPath(name).parts


def fold_solutions(app: Sphinx, name: str, source: list[str]) -> None:
    """Give MyST-NB's own tag to the cells that JupyterLab folds."""
    if app.env.doc2path(name).suffix != ".ipynb":
        return
    notebook = json.loads(source[0])
    prompt = FOLDED["zh" if is_chinese(name) else "en"]
    for cell in notebook["cells"]:
        if "solution" in cell["metadata"].get("tags", ()):
            cell["metadata"]["tags"].append("hide-input")
            cell["metadata"]["mystnb"] = {"code_prompt_show": prompt}
    source[0] = json.dumps(notebook)


def lead_to_files(app: Sphinx, name: str, source: list[str]) -> None:
    """Links such as `../labkit/clock.py`, which work in the repository, work on the site."""
    source[0] = TO_A_FILE.sub(REPOSITORY, source[0])


def collect_terms(app: Sphinx, tree: nodes.document) -> None:
    """Remember the glossary's terms, in lower case and in both languages, with their anchors."""
    if app.env.docname == GLOSSARY:
        app.env.labkit_terms = {
            name.lower(): section["ids"][0]
            for section in tree.findall(nodes.section)
            for name in names_of(section)
        }


def names_of(entry: nodes.section) -> list[str]:
    """The name of a term, and its Chinese one: `Chapter 02 · 污点 · [Taints](…)`."""
    chinese = re.search(r"^Chapter \d\d · (.+?) · ", entry.astext(), re.MULTILINE)
    return [entry.next_node(nodes.title).astext(), *(chinese.groups() if chinese else ())]


def link_terms(app: Sphinx, tree: nodes.document, name: str) -> None:
    """Lead from the first bold use of each term to the glossary."""
    if not name.startswith("notebooks/"):
        return
    terms = dict(app.env.labkit_terms)
    for bold in list(tree.findall(nodes.strong)):
        words = bold.astext().lower()
        anchor = terms.pop(words, None) or terms.pop(words.removesuffix("s"), None)
        if anchor is None or isinstance(bold.parent, nodes.reference):
            continue
        link = make_refnode(app.builder, name, GLOSSARY, anchor, bold.deepcopy())
        link["classes"].append("term")
        bold.replace_self(link)


def say_language(app: Sphinx, name: str, template: str, context: dict, tree: object) -> None:
    """Name a translation's language, by which browsers choose how to draw Chinese characters."""
    if is_chinese(name):
        context["language"] = "zh-CN"


def inline_formula(translator, node: nodes.math) -> None:
    translator.body.append(latex2mathml.converter.convert(node.astext()))
    raise nodes.SkipNode


def block_formula(translator, node: nodes.math_block) -> None:
    formula = latex2mathml.converter.convert(node.astext(), display="block")
    translator.body.append(f'<div class="formula">{formula}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    app.connect("source-read", fold_solutions)
    app.connect("source-read", lead_to_files)
    app.connect("doctree-read", collect_terms)
    app.connect("doctree-resolved", link_terms)
    app.connect("html-page-context", say_language)
    app.add_html_math_renderer("mathml", (inline_formula, None), (block_formula, None))

"""The settings of Sphinx; `python -m docs.site` passes the directory of the pages."""

from __future__ import annotations

import inspect
import posixpath
from typing import TYPE_CHECKING, Any

import attrs
from docutils import nodes
from sphinx import addnodes
from sphinx.domains.python import ObjectEntry
from sphinx.domains.python._object import PyObject
from sphinx.errors import PycodeError
from sphinx.ext import napoleon
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.nodes import find_pending_xref_condition, make_refnode

from docs.site import docstrings, llms, reference, tables
from docs.site.search import SearchWords
from wavix_async import __version__

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "wavix_async"
copyright = "The wavix_async developers"  # noqa: A001 - the name that Sphinx reads
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
root_doc = "index"
nitpicky = False

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_inherit_docstrings = False
add_module_names = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 72

NAPOLEON = napoleon.Config(napoleon_use_ivar=True, napoleon_use_rtype=False)

html_theme = "furo"
_BLUE = ("color-brand-primary", "color-brand-content", "color-brand-visited", "color-api-name", "color-api-pre-name")
html_title = f"wavix_async {__version__}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_theme_options = {
    "top_of_page_buttons": [],
    # GitHub's palette, as in the pictures; the theme's own blue has too little contrast on its grey.
    "light_css_variables": dict.fromkeys(_BLUE, "#0b5cad"),
    "dark_css_variables": dict.fromkeys(_BLUE, "#6cb0ff"),
}


def _docstring(_: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    is_class = what in {"class", "exception"}
    text = docstrings.to_rst(docstrings.without_entries(lines, _documented(obj)) if is_class else lines)
    # Napoleon would take the first words of an attribute's text for its type.
    plain = what in {"attribute", "property", "data"}
    lines[:] = text.split("\n") if plain else napoleon.GoogleDocstring(text, NAPOLEON, what=what).lines()


def _documented(kind: type) -> set[str]:
    """Return the fields of a class that get an entry of their own, and `extra`, which the entry of `Model` explains."""
    try:
        found = ModuleAnalyzer.for_module(kind.__module__).find_attr_docs()
    except PycodeError:
        return set()
    return {name for owner, name in found if owner == kind.__qualname__} | {"extra"} - set(vars(kind))


def _signature(
    _: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str | None, returns: str | None
) -> tuple[str | None, str | None] | None:
    """Leave out the signature of a model: its fields follow, with their docs."""
    if what in {"class", "exception"} and inspect.isclass(obj):
        has_fields = attrs.has(obj) or issubclass(obj, BaseException)
        # A protocol is not called.
        return ("", None) if has_fields or getattr(obj, "_is_protocol", False) else None
    return None


def _skip(_: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Leave out what a class inherits from its machinery."""
    return True if name in {"__init__", "from_dict"} and what == "class" else None


def _add_aliases(app: Sphinx, env: Any) -> None:
    """Add every other public path of a name to the index of objects: it leads to the entry of the name."""
    domain = env.get_domain("py")
    for name in reference.names():
        entry = domain.objects.get(name.path)
        for alias in name.aliases if entry else ():
            domain.objects.setdefault(alias, ObjectEntry(entry.docname, entry.node_id, entry.objtype, True))


def _open_pictures(app: Sphinx, doctree: nodes.document) -> None:
    """Make each picture a link to its file: on a small screen, the text of a picture is small."""
    for image in list(doctree.findall(nodes.image)):
        if not isinstance(image.parent, nodes.reference):
            uri = posixpath.relpath(image["uri"], posixpath.dirname(app.env.docname))
            link = nodes.reference("", "", image.deepcopy(), refuri=uri, classes=["picture"])
            image.replace_self(link)


def _link_types(_: Sphinx, doctree: nodes.document) -> None:
    """Link the types in signatures exactly: by its short name, `date` would lead to a field of that name."""
    known = _targets()
    for xref in list(doctree.findall(addnodes.pending_xref)):
        if xref.get("refdomain") != "py":
            continue
        path = known.get(xref["reftarget"].rpartition(".")[2])
        if path is None:
            short = find_pending_xref_condition(xref, "resolved")
            xref.replace_self(short.children if short else xref.children)
        else:
            xref["reftarget"] = path
            xref.attributes.pop("refspecific", None)


def _link_names(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Make a link of each piece of code that is only a public name, or a method of the client."""
    domain = app.env.get_domain("py")
    for literal in list(doctree.findall(nodes.literal)):
        if isinstance(literal.parent, nodes.reference | nodes.title):
            continue
        path = _targets().get(literal.astext().removesuffix("()"))
        entry = domain.objects.get(path) if path else None
        if entry is not None and app.builder is not None:
            link = make_refnode(app.builder, docname, entry.docname, entry.node_id, literal.deepcopy(), path)
            literal.replace_self(link)


_known: dict[str, str] = {}


def _targets() -> dict[str, str]:
    """Return what may be written in code, and the name in the index of objects that it means."""
    if not _known:
        for name in reference.names():
            short = name.path.rpartition(".")[2]
            # A word such as `plan` or `make` is rarely the function.
            if not short.islower():
                _known.setdefault(short, name.path)
            for path in (name.path, *name.aliases):
                _known[path] = name.path
                _known.setdefault(path.removeprefix("wavix_async."), name.path) if "." in path[12:] else None
        for path, kind in reference.groups():
            for method in dir(kind):
                if not method.startswith("_"):
                    for base in kind.__mro__:
                        if method in vars(base):
                            target = f"{kind.__module__}.{kind.__qualname__}.{method}"
                            _known[f"{path}.{method}"] = target
                            _known.setdefault(f"{path.removeprefix('wavix.')}.{method}", target)
    return _known


_titles: dict[str, nodes.Node] = {}


def _light_navigation(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Make the list of pages from their titles only: with all entries of the reference, it takes too long."""
    full, made = app.env.tocs, context.get("toctree")
    for name, toc in full.items() if not _titles else ():
        _titles[name] = light = toc.deepcopy()
        for item in list(light.findall(nodes.list_item))[1:]:
            if item.parent is not None and not list(item.findall(addnodes.toctree)):
                item.parent.remove(item)

    def titles_only(**options: Any) -> str:
        app.env.tocs = _titles
        try:
            return made(**options)
        finally:
            app.env.tocs = full

    if made is not None:
        context["toctree"] = titles_only


def _simplify(_: Sphinx) -> None:
    for name in reference.names():
        if inspect.isclass(name.value):
            docstrings.simplify(name.value)
    for _, kind in reference.groups():
        docstrings.simplify(kind)


def setup(app: Sphinx) -> None:
    """Connect what this site does with docstrings, links, tables and the search."""
    app.add_search_language(SearchWords)
    for field in PyObject.doc_field_types:
        if field.name == "variable":
            field.label = "Fields"
    app.set_translator("html", tables.Translator, override=True)
    app.connect("builder-inited", _simplify)
    app.connect("autodoc-process-docstring", _docstring)
    app.connect("autodoc-process-signature", _signature)
    app.connect("autodoc-skip-member", _skip)
    app.connect("doctree-read", _link_types)
    app.connect("doctree-read", _open_pictures)
    app.connect("env-updated", _add_aliases)
    app.connect("doctree-resolved", _link_names)
    app.connect("doctree-resolved", llms.keep_text)
    app.connect("doctree-resolved", tables.label)
    app.connect("html-page-context", _light_navigation, priority=400)  # before the theme's own

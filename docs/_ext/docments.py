"""Sphinx extension: what the comments behind parameters say (docments) goes into the reference.

Docstrings are Markdown: a public name in backticks becomes a link, other backticks code, and $...$ maths.
"""
import re

from fastcore.docments import docments


def describe(app, what, name, obj, options, lines):
    "Add a field for each parameter that has a comment."
    if what not in ("function", "method", "class") or (what == "class" and issubclass(obj, Exception)):
        return
    fields = []
    for parameter, comment in docments(obj).items():
        if comment and parameter not in ("self", "cls"):
            comment = " ".join(comment.split())
            fields.append(f":returns: {comment}" if parameter == "return" else f":param {parameter}: {comment}")
    lines += ["", *fields] if fields else []


def markdown(app, what, name, obj, options, lines):
    "Turn backticks and dollars into reStructuredText; a constant has no docstring but that of its type, which says nothing."
    if what == "data":
        lines.clear()
    names = app.config.docments_names

    def code(match):
        full = names.get(match[1].removeprefix("dotseg."))
        return f":py:obj:`{match[1]} <{full}>`" if full and full != name else f"``{match[1]}``"

    for i, line in enumerate(lines):
        line = re.sub(r"(?<![`:])`([^`]+)`(?!`)", code, line)
        line = re.sub(r"\$([^$\s][^$]*)\$", r":math:`\1`", line)
        parts = re.split(r"(`+.*?`+)", line)  # a star without its partner, as in f(*args), is a star
        parts[::2] = [part if part.count("*") % 2 == 0 else part.replace("*", r"\*") for part in parts[::2]]
        lines[i] = "".join(parts)


def setup(app):
    app.add_config_value("docments_names", {}, "env")
    app.connect("autodoc-process-docstring", describe, priority=400)
    app.connect("autodoc-process-docstring", markdown, priority=600)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

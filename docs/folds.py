"""Which cells of a notebook are folded on the site, and what the line says that opens them.

`#| code-fold: true` or `false` in a cell decides, and `#| code-summary: "..."` is the line. Where a cell says nothing, exported code
and checks are folded in the wings of the library, while the code of the course, of how-tos and of tutorials is shown.
"""
import ast
import re

CHECKS = re.compile(r"(assert|test|expect)_\w+$")  # functions that end a cell of checks
RICH = {"image/png", "image/svg+xml", "text/html", "text/latex", "text/markdown"}
USED = ("index", "course", "howto", "tutorials")  # notebooks of which nothing is folded unless a cell says so


def parsed(source):
    "The statements of a cell, without its magics."
    return ast.parse("\n".join(line for line in source.splitlines() if not line.lstrip().startswith(("%", "!")))).body


def defined(body):
    "The public names that a cell defines."
    found = []
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.append(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found += [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]
    return [name for name in found if not name.startswith("_")] or found


def called(call):
    return getattr(call.func, "id", getattr(call.func, "attr", "")) if isinstance(call, ast.Call) else ""


def checks(node):
    "Whether a statement is an assertion, or a loop or block that holds one."
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return False
    return any(isinstance(part, ast.Assert) or CHECKS.match(called(part)) for part in ast.walk(node))


def is_check(body, outputs):
    "Whether a cell ends with an assertion, prints aside, and shows no picture, table or formula."
    rest = [node for node in body if not (isinstance(node, ast.Expr) and called(node.value) == "print")]
    return bool(rest) and checks(rest[-1]) and not any(RICH & out.get("data", {}).keys() for out in outputs)


def listed(names, most=4):
    return ", ".join(f"`{name}`" for name in names[:most]) + (" and others" if len(names) > most else "")


def of_library(body):
    names = defined(body)
    return f"Library code: {listed(names)}" if names else "Library code: what it imports"


def of_check(body, names, heading):
    "What a cell checks: the functions of the library that it calls, or the section that it stands in."
    used = dict.fromkeys(called(part) for node in body for part in ast.walk(node) if called(part) in names)
    refused = any(called(part) == "expect_fail" for node in body for part in ast.walk(node))
    what = listed(list(used)) or heading
    return f"Check: errors of {what}" if refused and used else f"Check: {what}"


def fold(page, found, source, outputs, names, heading):
    "The line under which a cell is folded, or None; `found` holds its directives."
    wanted, summary = found.get("code-fold"), found.get("code-summary", "").strip("\"'")
    if wanted == "false" or not source:
        return None
    body, library = parsed(source), page.split("/")[0] not in USED
    if library and found.keys() & {"export", "exporti", "exports"}:
        return summary or of_library(body)
    if library and is_check(body, outputs):
        return summary or of_check(body, names, heading)
    return (summary or "Code") if wanted == "true" else None

"""Find a runnable example for each public name that has none: `python tools/examples.py`.

Cut out of the notebooks: a statement that uses the name, with what it needs from the cells before it; of those that run, the shortest.
They are written to docs/examples, one file for each module, where they can be edited; the reference shows them, and tests run them.
"""
import ast
import builtins
import os
import re
import signal
import sys
import tempfile
from collections import defaultdict
from functools import cache
from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "docs")]
from reference import EXAMPLES, MODULES, public, read_examples  # noqa: E402

SKIPPED = re.compile(r"^#\|\s*(slow|cuda|weights|eval:\s*false)", re.M)
MOST = 40  # lines
SECONDS = 8
TRIED = 4  # candidates a name


@cache
def loads(node):
    "Names that a statement reads."
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}


@cache
def stores(node):
    "Names that a statement binds, in the notebook or in itself."
    found = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    found |= {n.arg for n in ast.walk(node) if isinstance(n, ast.arg)}
    return found | {n.name for n in ast.walk(node) if isinstance(n, (ast.FunctionDef, ast.ClassDef))}


@cache
def changed(node):
    "Names that a statement changes without binding them: x[0] = ..., x.a = ..., x.append(...)."
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AugAssign) else []
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Attribute):
        targets = [node.value.func]
    roots = set()
    for target in targets:
        while isinstance(target, (ast.Subscript, ast.Attribute)):
            target = target.value
        roots |= {target.id} if isinstance(target, ast.Name) else set()
    return roots


def statements(path):
    "(text, node) of each statement that always runs; exported code is imported from its module."
    found, module = [], None
    for cell in nbformat.read(path, 4).cells:
        if cell.cell_type != "code" or SKIPPED.search(cell.source):
            continue
        module = (re.search(r"#\| default_exp (\S+)", cell.source) or [None, module])[1]
        source = "\n".join(line if not line.lstrip().startswith(("%", "!")) else "" for line in cell.source.splitlines())
        lines = source.splitlines()
        exported = re.search(r"#\|\s*export", source)
        for node in ast.parse(source).body:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                where = "" if isinstance(node, ast.Import) else f"from {node.module} "
                for alias in node.names:
                    text = f"{where}import {alias.name}" + (f" as {alias.asname}" if alias.asname else "")
                    found.append((text, ast.parse(text).body[0]))
            elif exported:
                for name in {n for n in stores(node)} if not isinstance(node, (ast.FunctionDef, ast.ClassDef)) else [node.name]:
                    text = f"from dotseg.{module} import {name}"
                    found.append((text, ast.parse(text).body[0]))
            else:
                first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
                found.append(("\n".join(lines[first - 1: node.end_lineno]), node))
    return found


@cache
def binds(node):
    "Names that a statement leaves behind."
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return {(a.asname or a.name).split(".")[0] for a in node.names}
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return {node.name}
    return stores(node)


def cut(body, at):
    "The numbers of the statements that statement `at` needs, itself included, or None."
    wanted, chosen = {at: None}, set()
    while wanted:
        i, _ = wanted.popitem()
        if i in chosen:
            continue
        chosen.add(i)
        node = body[i][1]
        for name in loads(node) | changed(node):
            made = next((j for j in range(i - 1, -1, -1) if name in binds(body[j][1])), None)
            if made is None:
                if not hasattr(builtins, name) and name not in stores(node):
                    return None
                continue
            wanted |= dict.fromkeys([made, *(j for j in range(made + 1, i) if name in changed(body[j][1]))])
        if sum(len(body[j][0].splitlines()) for j in chosen) > 3 * MOST:
            return None
    return sorted(chosen)


def written(texts):
    "The lines of an example: imports first, those from one place on one line."
    imports, rest, froms = [], [], defaultdict(list)
    for text in dict.fromkeys(texts):
        one = re.fullmatch(r"from (\S+) import (\S+)", text)
        if one:
            froms[one[1]].append(one[2])
        elif re.match(r"(import|from) ", text):
            imports.append(text)
        else:
            rest.append(text)
    imports = sorted(set(imports)) + [f"from {place} import {', '.join(sorted(set(names)))}" for place, names in sorted(froms.items())]
    return "\n".join([*imports, "", *rest])


def candidates(names):
    "For each name the examples in the notebooks, the best first: short, without errors and assertions."
    found = defaultdict(list)
    for path in sorted((ROOT / "nbs").rglob("[!._]*.ipynb")):
        body = statements(path)
        for i, (text, node) in enumerate(body):
            if isinstance(node, (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)):
                continue
            used = loads(node) & names
            chosen = cut(body, i) if used else None
            if chosen is None:
                continue
            example = written([body[j][0] for j in chosen])
            lines = len(example.splitlines())
            if lines > MOST or max(map(len, example.splitlines())) > 160:
                continue
            cost = lines + 3 * ("assert" in text or "test_eq" in text) + 8 * ("expect_fail" in text)
            for name in used:
                if re.search(rf"import .*\b{name}\b", example):
                    found[name].append((cost + 4 * (f"{name}(" not in text), example))
    return {name: [example for _, example in sorted(found[name])] for name in names}


def runs(example):
    "Whether an example runs by itself, in an empty folder and in time. A copy of this process runs it, which has read the large libraries."
    import matplotlib.pyplot  # noqa: F401
    import torch  # noqa: F401

    import dotseg.segmentation.segmenter  # noqa: F401

    child = os.fork()
    if child == 0:
        signal.alarm(SECONDS)
        with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as null:
            os.chdir(folder)
            os.dup2(null.fileno(), 1)
            os.dup2(null.fileno(), 2)
            try:
                exec(compile(example, "example", "exec"), {"__name__": "__main__"})
            except BaseException:
                os._exit(1)
            os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def main():
    have = {module: read_examples(module) for module in MODULES}
    missing = [(module, name, thing) for module in MODULES for name, thing in public(module).items() if name not in have[module]]
    found, tested = candidates({name for _, name, _ in missing}), {}
    for module, name, thing in missing:
        plain = [] if callable(thing) else [f"from {module} import {name}\n\nprint({name})"]
        own = [example for example in found[name] if re.search(rf"from {module} import .*\b{name}\b", example)]
        for example in [*own[:TRIED], *plain]:
            if tested.setdefault(example, runs(example) if example not in tested else None):
                have[module][name] = example
                break
        else:
            print(f"{module}.{name}: no example was found; write one into {EXAMPLES / module.removeprefix('dotseg.')}.py")
    for module, examples in have.items():
        shown = {}  # code -> the names that it shows
        for name in public(module):
            if name in examples:
                shown.setdefault(examples[name].strip(), []).append(name)
        if shown:
            EXAMPLES.mkdir(exist_ok=True)
            text = "\n\n\n".join(f"# %% {', '.join(names)}\n{code}" for code, names in shown.items())
            (EXAMPLES / f"{module.removeprefix('dotseg.')}.py").write_text(text + "\n")


if __name__ == "__main__":
    main()

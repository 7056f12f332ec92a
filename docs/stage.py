"""Turn the committed notebooks into sources for Sphinx, under docs/_build/src. Nothing is executed.

The first lines of a cell count: `#| hide` and `#| default_exp` leave the cell out, `#| echo: false` its code,
and `#| fig-alt: "..."` describes its figures. folds.py says which code is folded. Names of the library in backticks become links to the reference.
"""
import re
import shutil
from base64 import b64decode
from configparser import ConfigParser
from importlib.metadata import distribution
from pathlib import Path

import livepage
import nbformat
from folds import fold
from gallery import figures, gallery, thumbnail
from reference import MODULES, REFERENCE, linkable, reference
from words import INDEX

DOCS = Path(__file__).parent
NOTEBOOKS = DOCS.parent / "nbs"
SOURCE = DOCS / "_build" / "src"
SETTINGS = ConfigParser(delimiters=["="])
SETTINGS.read(DOCS.parent / "settings.ini", encoding="utf-8")
SETTINGS = SETTINGS["DEFAULT"]
SITE = SETTINGS["doc_host"] + SETTINGS["doc_baseurl"]
BLOB = f"{SETTINGS['git_url']}/blob/{SETTINGS['branch']}"

# The groups: the title of each folder of notebooks, in the order in which they are read.
GROUPS = {
    "course": "The course",
    "method": "The method in the library",
    "models": "Models",
    "miniature": "Embedded models",
    "figures": "Figures",
    "segmentation": "Segmentation",
    "evaluation": "Evaluation",
    "app": "Tools",
    "tutorials": "Tutorials",
    "howto": "How-to",
}
FIRST = ["tutorials/hypothesis", "tutorials/ablations", "tutorials/methods"]  # before the others of their group

LESSONS = {  # notebook of the library -> the lesson that teaches it
    "method/01_sinkhorn": "course/01_sinkhorn", "method/02_proportional_fitting": "course/05_maximum_velocity", "method/03_logits": "course/02_logits",
    "method/04_attention": "course/03_attention", "method/05_optimal_path": "course/04_optimal_path", "method/06_maximum_velocity": "course/05_maximum_velocity",
    "method/07_upsampling": "course/06_upsampling", "method/08_upsampling_triton": "course/07_gpu", "method/10_refine": "course/08_the_whole", "models/05_diffusion": "course/03_attention"}


def place(page):
    "The group of a page such as method/01_sinkhorn, and a key that sorts within the group."
    folder = page.partition("/")[0]
    if folder not in GROUPS:
        raise SystemExit(f"nbs/{page}.ipynb belongs to no group: add its folder to GROUPS in docs/stage.py")
    return GROUPS[folder], (FIRST.index(page) if page in FIRST else len(FIRST), page)


def link_symbols(markdown, names):
    "Turn public names in backticks into links; headings, fences and the text of links are left as they are."
    def link(match):
        full = names.get(match[1].removeprefix("dotseg."))
        return f"{{py:obj}}`{match[1]} <{full}>`" if full else match[0]

    parts = re.split(r"(^```.*?^```|^#.*?$|\[[^\]]*\]\()", markdown, flags=re.M | re.S)
    parts[::2] = [re.sub(r"(?<![`\w}])`([\w.]+)(?:\(\))?`(?!`)", link, part) for part in parts[::2]]
    return "".join(parts)


def prose(source, path, names):
    "The Markdown of a cell as MyST reads it; below the title stand the summary and a link to the notebook."
    source = link_symbols(source, names)
    source = re.sub(r"\]\((?:\.\./)+([A-Z][\w.]*)\)", rf"]({BLOB}/\1)", source)  # files beside nbs/
    source = re.sub(r"\]\(([^):]*)#([^)]*)\)", lambda m: f"]({m[1]}#{m[2].lower()})", source)  # Jupyter keeps capitals
    source = re.sub(rf"\[([^\]]*)\]\(({SITE}/[^)]*)\)", r'<a href="\2">\1</a>', source)  # of this site, as a live page in a given state:
    source = source.replace(f'href="{SITE}/', f'href="{"../" * path.count("/")}')  # Jupyter needs the address, the site goes without
    if source.startswith("# "):
        source = re.sub(r"^((?:> ?.*\n?)+)", lambda m: "{.lead}\n" + re.sub("^> ?", "", m[1], flags=re.M).rstrip() + "\n", source, count=1, flags=re.M)
        source += f"\n\n{{.notebook}}\n[Open this notebook]({BLOB}/nbs/{path})"
        source += f"\n\n```{{index}} {', '.join('! ' + words for words in INDEX[page])}\n```" if (page := path.removesuffix(".ipynb")) in INDEX else ""
    return source


def options(source):
    "The `#|` lines of a cell, as a dict, and the code without them."
    found = dict(re.findall(r"^#\|\s*([\w-]+):?[ \t]*(.*)$", source, re.M))
    return found, re.sub(r"^#\|.*\n?", "", source, flags=re.M).strip("\n")


def wide(output):
    "Whether an output is a figure of more than 700 pixels, which a phone shows with a scroll bar."
    png, shown = output.get("data", {}).get("image/png"), output.get("metadata", {}).get("image/png", {})
    return png is not None and shown.get("width", int.from_bytes(b64decode(png)[16:20], "big")) > 700  # where PNG says how wide it is


def tables(outputs):
    "The outputs of a cell with each Markdown table that it printed as a table, the text around it as text. No line ends within an interval."
    for output in split_tables(outputs):
        if "text/markdown" in output.get("data", {}):
            output.data["text/markdown"] = re.sub(r"(\[[-+\d.]+,) ([-+\d.]+\])", "\\1\N{NO-BREAK SPACE}\\2", output.data["text/markdown"])
        yield output


def split_tables(outputs):
    for output in outputs:
        parts = re.split(r"((?:^\|.*\|[ \t]*\n)+)", output.text.rstrip("\n") + "\n", flags=re.M) if output.output_type == "stream" else []
        if len(parts) < 3 or output.name != "stdout":
            yield output
            continue
        for i, part in enumerate(parts):
            if i % 2 and re.search(r"^\|[-:| ]+\|$", part, re.M):
                yield nbformat.v4.new_output("display_data", {"text/markdown": part})
            elif part.strip():
                yield nbformat.v4.new_output("stream", name="stdout", text=part)


def stage(path, names):
    "The page of one notebook."
    nb, cells, heading = nbformat.read(NOTEBOOKS / path, 4), [], ""
    for cell in nb.cells:
        cell.metadata = {}
        if cell.cell_type == "markdown":
            heading = (re.findall(r"^#+ (.*)$", cell.source, re.M) or [heading])[-1]
            cell.source = prose(cell.source, path, names)
        else:
            found, cell.source = options(cell.source)
            if found.keys() & {"hide", "default_exp"}:
                continue
            cell.outputs = list(tables(cell.outputs))
            alt = found.get("fig-alt", f"Figure in the section “{heading}”").strip('"')
            cell.metadata["mystnb"] = {"image": {"alt": alt} | ({"classes": "wide"} if any(map(wide, cell.outputs)) else {})}
            summary = fold(path.removesuffix(".ipynb"), found, cell.source, cell.outputs, names, heading)
            if found.get("echo") == "false" or not cell.source:
                cell.metadata["tags"] = ["remove-input"]
            elif summary:
                cell.metadata["mystnb"]["code_prompt_show"] = summary
                cell.metadata["tags"] = ["hide-cell" if summary.startswith("Answer") else "hide-input"]
        cells.append(cell)
    nb.cells, nb.metadata = cells, {"kernelspec": {"name": "python3", "display_name": "Python 3"}, "language_info": {"name": "python"}}
    return nb


def toctree(caption, pages):
    return "\n".join(["```{toctree}", ":hidden:", f":caption: {caption}", "", *pages, "```", ""])


def grouped(pages):
    "The pages of each group, in the order in which they are read."
    groups = {group: sorted((page for page in pages if place(page)[0] == group), key=place) for group in GROUPS.values()}
    return {group: members for group, members in groups.items() if members}


def course(groups):
    "The table of contents, which ends the first page."
    trees = [toctree(group, members) for group, members in groups.items()]
    return "\n".join([*trees, toctree("Reference", ["reference/index", "gallery", "symbols", "references", "changelog"])])


def title(nb):
    "The title of a page, without its markup."
    return re.search(r"^# (.*)$", "\n".join(cell.source for cell in nb.cells if cell.cell_type == "markdown"), re.M)[1].replace("`", "")


def lessons():
    "Module -> the page of the notebook that exports it."
    exports = {file: re.search(r"#\| default_exp ([\w.]+)", file.read_text()) for file in sorted(NOTEBOOKS.glob("*/*.ipynb"))}
    return {f"dotseg.{found[1]}": file.relative_to(NOTEBOOKS).with_suffix("").as_posix() for file, found in exports.items() if found}


def pictures(notebooks, names):
    "Page -> (thumbnail's path, description, names of the library in its figures), and the thumbnails by path."
    drawn, files = {}, {}
    for page, nb in notebooks.items():
        source = (NOTEBOOKS / f"{page}.ipynb").read_text()
        known = [name for name in names if re.search(rf"(import [^\"]*|def |class )\b{name}\b", source)]  # and not a variable that is called the same
        found = figures(nb.cells, known)
        if found:
            about = title(nb) if found[0][1].startswith("Figure in the section") else found[0][1]
            drawn[page] = f"gallery/{page.replace('/', '-')}.jpg", about, list(dict.fromkeys(name for _, _, used in found for name in used))
            files[drawn[page][0]] = thumbnail(found[0][0])
    return drawn, files


def sources():
    "The content of every source, by its path under docs/_build/src."
    names, files = linkable(MODULES), sorted(NOTEBOOKS.glob("*.ipynb")) + sorted(NOTEBOOKS.glob("[!._]*/[!._]*.ipynb"))
    notebooks = {file.relative_to(NOTEBOOKS).with_suffix("").as_posix(): stage(file.relative_to(NOTEBOOKS).as_posix(), names) for file in files}
    titles, where = {page: title(nb) for page, nb in notebooks.items()}, lessons()
    groups = grouped([page for page in notebooks if page != "index"])
    notebooks["index"].cells.append(nbformat.v4.new_markdown_cell(course(groups), id="toctree"))
    drawn, found = pictures(notebooks, names)
    found |= {f"{page}.ipynb": nbformat.writes(nb) for page, nb in notebooks.items()}
    pages = {file.name: file.read_text() for file in DOCS.glob("*.md")} | {"changelog.md": (DOCS.parent / "CHANGELOG.md").read_text()}
    found |= {path: link_symbols(text, names) for path, text in pages.items()}
    found["gallery.md"] = gallery(groups, drawn, titles, names)
    shown = {name: [(page, titles[page]) for page in drawn if name in drawn[page][2]] for name in names}
    for module in MODULES:
        page = where[module]
        lesson = LESSONS.get(page, page)
        text = reference(module, (page, titles[page]), (lesson, titles[lesson]), drawn.get(page), shown)
        found[f"reference/{module.removeprefix('dotseg.')}.md"] = text.replace("(SOURCE/", f"({BLOB}/")
    found["reference/index.md"] = link_symbols(REFERENCE, names) + "\n".join("{0} <{0}>".format(module.removeprefix("dotseg.")) for module in MODULES) + "\n```\n"
    return found


def write(found):
    "Write what has changed, so that Sphinx builds no more than that, and remove what is left of pages that are gone."
    for path, text in found.items():
        target = SOURCE / path
        target.parent.mkdir(parents=True, exist_ok=True)
        content = text.encode() if isinstance(text, str) else text
        if not target.exists() or target.read_bytes() != content:
            target.write_bytes(content)
    for old in [file for file in SOURCE.rglob("*.*") if file.relative_to(SOURCE).as_posix() not in found]:
        old.unlink()


def copy_mathjax():
    "MathJax in one file, glyphs and all, out of its wheel."
    file = next(file for file in distribution("sphinx-mathjax-offline").files if file.name == "tex-svg-full.js")
    target = DOCS / "_build" / "mathjax" / file.name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(file.locate().read_bytes())


if __name__ == "__main__":
    write(sources())
    shutil.copytree(NOTEBOOKS / "images", SOURCE / "images", dirs_exist_ok=True)  # pictures that Markdown cells show
    copy_mathjax()
    livepage.build(DOCS / "_build" / "live")

"The gallery: a thumbnail of each page that draws something, and the functions that its figures are made with."
import ast
import io
import re
from base64 import b64decode

from folds import parsed
from PIL import Image

WIDTH, HEIGHT = 360, 220
LEAD = """# Gallery

{.lead}
One picture of every page that draws something. Click a picture to open its page, or a name to open the reference.
"""


def picture(output):
    "The first picture in an output, as bytes, or None."
    data = output.get("data", {})
    found = [data[kind] for kind in ("image/png", "image/jpeg") if kind in data] or re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", data.get("text/html", ""))
    return b64decode(found[0]) if found else None


def thumbnail(data):
    "A small JPEG of a picture, on white."
    image = Image.open(io.BytesIO(data)).convert("RGBA")
    image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    image.thumbnail((2 * WIDTH, 2 * HEIGHT), Image.Resampling.LANCZOS)
    image.save(file := io.BytesIO(), "JPEG", quality=80, optimize=True)
    return file.getvalue()


def is_strip(data):
    "Whether a picture is so wide that little would be left of it in a thumbnail."
    width, height = Image.open(io.BytesIO(data)).size
    return width > 3.2 * height


def figures(cells, names):
    "(bytes, description, names of the library) of each cell that shows a picture; a picture that is not a strip comes first."
    found = []
    for cell in cells:
        shown = next(filter(None, map(picture, cell.get("outputs", []))), None)
        if shown:
            used = {node.id for part in parsed(cell.source) for node in ast.walk(part) if isinstance(node, ast.Name)}
            alt = cell.metadata["mystnb"]["image"]["alt"]
            found.append((shown, alt, [name for name in names if name in used]))
    return sorted(found, key=lambda each: is_strip(each[0]))


def card(page, title, alt, file, names):
    "One page of the gallery."
    alt = alt.replace("[", "(").replace("]", ")")
    used = "\n\n{.names}\n" + ", ".join(f"{{py:obj}}`{name} <{full}>`" for name, full in names.items()) if names else ""
    return f"```{{container}} card\n[![{alt}]({file})]({page}.ipynb)\n\n[{title}]({page}.ipynb){used}\n```\n"


def gallery(groups, drawn, titles, names):
    "The page: `groups` are the pages under each heading, `drawn` the (thumbnail, description, names) of a page."
    parts = [LEAD]
    for group, pages in groups.items():
        cards = [card(page, titles[page], drawn[page][1], drawn[page][0], {n: names[n] for n in drawn[page][2][:6]}) for page in pages if page in drawn]
        parts += [f"## {group}\n\n````{{container}} gallery\n" + "\n".join(cards) + "````\n"] if cards else []
    return "\n".join(parts)

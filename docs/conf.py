"The site: committed notebooks, staged by stage.py, and a reference made from docstrings. Warnings are errors; nothing is executed."
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE / "_ext")]

from reference import MODULES, linkable  # noqa: E402
from stage import SETTINGS  # noqa: E402

project, author, release = SETTINGS["lib_name"], SETTINGS["author"], SETTINGS["version"]
copyright = SETTINGS["copyright"]
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "sphinx.ext.viewcode", "sphinx_copybutton", "docments", "folds_html"]
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!dotseg).*")]  # types of other libraries: no inventory is fetched while building

# notebooks: stored outputs only
nb_render_markdown_format = "myst"  # with tables
nb_execution_mode = "off"
nb_merge_streams = True
myst_enable_extensions = ["amsmath", "attrs_block", "dollarmath"]
myst_heading_anchors = 3
myst_dmath_double_inline = True

# reference
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_class_signature = "mixed"
toc_object_entries_show_parents = "hide"
python_use_unqualified_type_names = True
docments_names = linkable(MODULES)

# maths: one file with the glyphs inside, copied by stage.py from its wheel; nothing comes from elsewhere
mathjax_path = "tex-svg-full.js"
mathjax3_config = {"options": {"enableMenu": False}}

html_theme = "sphinx_book_theme"
html_title = project
html_static_path = ["_static", "_build/mathjax", "_build/live"]
html_css_files = ["custom.css", "live/live.css"]
html_js_files = ["labels.js", "search.js", ("live/live.js", {"defer": "defer"})]
html_search_scorer = str(HERE / "scorer.js")
html_favicon = "_static/favicon.svg"
html_copy_source = html_show_sourcelink = html_scaled_image_link = False
html_context = {"default_mode": "auto"}
html_theme_options = {
    "repository_url": SETTINGS["git_url"],
    "use_repository_button": True,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "navbar_start": [],
    "navbar_center": [],
    "navbar_end": [],
    "navbar_persistent": [],
    "home_page_in_toc": True,
    "show_toc_level": 2,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
copybutton_selector = ".cell_input pre, div:not(.cell_output) > div[class*=highlight-] pre"

"""The site as a reader meets it: on a desk by day, on a phone by night. Each page is opened once in each view; each test asks for one fault.

The accessibility check sees code without its colours and maths without its glyphs: it would spend most of its time on these
thousands of pieces, and the colours are a theme made for contrast.
"""
from collections import defaultdict
from importlib.resources import files
from pathlib import Path

import pytest

SITE = Path(__file__).parents[2] / "docs" / "_build" / "html"
pytestmark = pytest.mark.browser

VIEWS = {"desktop": (1280, "light"), "phone": (390, "dark")}
LINKS = "[...document.querySelectorAll('a[href]')].map(a => a.href)"
IDS = "[...document.querySelectorAll('[id], a[name]')].map(e => e.id || e.name)"
MATHS = """() => {
    const text = document.querySelector('main').cloneNode(true);
    text.querySelectorAll('pre, code, mjx-container, script').forEach(e => e.remove());
    const raw = text.textContent.match(/\\$\\$|\\\\[(\\[]|\\\\begin|\\{(py|eq|ref):?\\w*\\}/g) || [];
    const wrong = [...document.querySelectorAll('mjx-container [data-mml-node=merror], mjx-container mjx-merror')];
    const missing = document.querySelectorAll('.math').length - document.querySelectorAll('.math mjx-container').length;
    return [...raw, ...wrong.map(e => e.textContent), ...(missing > 0 ? [missing + ' not set'] : [])];
}"""
UNDESCRIBED = """() => [...document.querySelectorAll('main img')].map(e => e.alt.trim())
    .filter(alt => !alt || alt.startsWith('Figure in the section'))"""  # what docs/stage.py says of a figure without #| fig-alt
TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
AXE = """() => {
    document.querySelectorAll('pre').forEach(e => e.textContent = e.textContent);
    document.querySelectorAll('mjx-container').forEach(e => e.replaceChildren());
    return axe.run(document, {preload: false}).then(found => found.violations
        .filter(v => ['serious', 'critical'].includes(v.impact)).map(v => v.id + ' ' + v.nodes[0].target + ' (' + v.nodes.length + ')'));
}"""


def look(page, address, view, found):
    "Open one page in one view, note the faults by their kind, and give its ids and its links."
    width, scheme = VIEWS[view]
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # or axe may meet a colour on its way to another
    page.goto(address)
    page.wait_for_function(f"document.documentElement.dataset.theme == '{scheme}'")
    page.evaluate("window.MathJax && MathJax.startup.promise")
    page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text())
    found["maths"] += [f"{address}: {fault}" for fault in page.evaluate(MATHS)]
    found["undescribed figures"] += [f"{address}: {alt}" for alt in page.evaluate(UNDESCRIBED)]
    over = page.evaluate(TOO_WIDE)
    found["width"] += [f"{address} {view}: {over} px too wide"] if over > 0 else []
    names_and_links = page.evaluate(IDS), page.evaluate(LINKS)
    found["axe"] += [f"{address} {view}: {fault}" for fault in page.evaluate(AXE)]  # last: it changes the page
    return names_and_links


@pytest.fixture(scope="module")
def visit(browser, site):
    "What was found on all pages: faults by kind, and the ids and links of each page by its address."
    found, pages = defaultdict(list), {}
    page = browser.new_page()
    page.on("console", lambda message: found["console"].append(f"{page.url}: {message.text}") if message.type == "error" else None)
    page.on("pageerror", lambda error: found["console"].append(f"{page.url}: {error}"))
    page.on("request", lambda r: None if r.url.startswith((site, "data:", "blob:")) else found["outside"].append(f"{page.url}: {r.url}"))
    paths = sorted(path.relative_to(SITE) for path in SITE.rglob("*.html"))
    for name in (path.as_posix() for path in paths if path.parts[0] not in ("_static", "_modules")):  # the theme's, listings
        for view in VIEWS:
            pages[site + name] = look(page, site + name, view, found)
    page.close()
    return found, pages


@pytest.mark.parametrize("fault", ["console", "outside", "maths", "axe", "width", "undescribed figures"])
def test_no_page_has(visit, fault):
    assert visit[0][fault] == []


def test_links_lead_somewhere(visit, site):
    _, pages = visit
    ids = {address: set(names) for address, (names, _) in pages.items()}
    broken = set()
    for address, (_, links) in pages.items():
        for link in (link for link in links if link.startswith(site)):
            target, _, anchor = link.partition("#")
            target += "index.html" if target.endswith("/") else ""
            if anchor and not anchor.startswith("live:") and target in ids and anchor not in ids[target] or not (SITE / target.removeprefix(site).split("?")[0]).is_file():
                broken.add(f"{address} -> {link}")
    assert sorted(broken) == []


@pytest.mark.parametrize("name, target", [("sinkhorn", "reference/method.sinkhorn.html"), ("joint_bilateral_upsample", "reference/method.upsampling.html")])
def test_search_finds(browser, site, name, target):
    page = browser.new_page()
    page.goto(f"{site}search.html?q={name}")
    page.wait_for_selector(f"#search-results li a[href*='{target}']", timeout=10_000)
    page.close()


def test_code_can_be_copied(browser, site):
    page = browser.new_page()
    page.goto(f"{site}method/05_optimal_path.html")
    page.wait_for_selector("button.copybtn", state="attached")
    assert page.locator("button.copybtn").count() == page.locator(".cell_input pre").count()
    page.close()


def test_each_notebook_can_be_opened_from_its_page(visit, site):
    _, pages = visit
    for path in (path.relative_to(SITE).with_suffix("") for path in SITE.rglob("*.html") if (SITE.parent / "src" / path.relative_to(SITE).with_suffix(".ipynb")).exists()):
        links = pages[f"{site}{path.as_posix()}.html"][1]
        assert any(link.endswith(f"/nbs/{path.as_posix()}.ipynb") for link in links), path


def test_each_notebook_has_its_page_in_the_contents(visit, site):
    notebooks = Path(__file__).parents[2] / "nbs"
    _, pages = visit
    linked = set(pages[f"{site}index.html"][1])
    wanted = {f"{site}{path.relative_to(notebooks).with_suffix('.html').as_posix()}" for path in notebooks.rglob("[!._]*.ipynb")}
    assert {page for page in wanted if page not in linked and page + "#" not in linked} - {f"{site}index.html"} == set()


@pytest.mark.parametrize("lesson, sliders", [("method/01_sinkhorn", 1), ("method/06_maximum_velocity", 2)])
def test_sliders_of_a_lesson_change_their_pictures(browser, site, lesson, sliders):
    page = browser.new_page()
    page.goto(f"{site}{lesson}.html")
    figures = page.locator("figure[data-dotseg]", has=page.locator("input[type=range]"))
    assert figures.count() >= sliders
    for figure in figures.all():
        before = figure.locator("img").get_attribute("src"), figure.locator("output").text_content()
        figure.locator("input").press("Home")
        assert figure.locator("img").get_attribute("src") != before[0] and figure.locator("output").text_content() != before[1]
    page.close()


def test_attention_follows_the_pointer(browser, site):
    page = browser.new_page()
    page.goto(f"{site}method/04_attention.html")
    image, maps = page.get_by_role("application"), page.get_by_role("img", name="attention of the marked patch")
    image.scroll_into_view_if_needed()
    before, box = maps.evaluate("x => getComputedStyle(x).backgroundPosition"), image.bounding_box()
    page.mouse.move(box["x"] + 0.1 * box["width"], box["y"] + 0.9 * box["height"])
    assert maps.evaluate("x => getComputedStyle(x).backgroundPosition") != before
    page.close()

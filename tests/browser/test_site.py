"""The site as a reader meets it, at the width of a phone, of a laptop and of a large screen. Each page is opened once; each test asks for one fault.

The accessibility check sees code without its colours and maths without its glyphs: it would spend most of its time on these thousands of
pieces. Contrast, which takes most of the rest, is looked at by day and by night on one page of each kind, since colours are the theme's.
"""
import re
from collections import defaultdict
from importlib.resources import files
from pathlib import Path

import pytest

SITE = Path(__file__).parents[2] / "docs" / "_build" / "html"
pytestmark = pytest.mark.browser

WIDTHS = (1280, 1920, 390)
KINDS = ("index", "course/01_sinkhorn", "course/03_attention", "method/01_sinkhorn", "app/02_command_line", "app/06_inspection", "reference/method.refine", "gallery", "symbols", "search")
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
LAYOUT = """async () => {
    document.querySelectorAll('main details').forEach(e => e.open = true);
    await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));  // what watches sizes has seen them
    const desk = innerWidth >= 1000, found = [], over = e => e.clientWidth > 0 && e.scrollWidth > e.clientWidth + 1, root = document.documentElement;
    const note = (fault, e) => found.push([fault, e.textContent.trim().slice(0, 60)]);
    if (root.scrollWidth > root.clientWidth) found.push(['width', root.scrollWidth - root.clientWidth + ' px too wide']);
    for (const e of document.querySelectorAll('main pre')) {
        if (over(e) && (desk || !e.closest('.cell_output'))) note('cut code', e);
        if (e.closest('.cell_output') && /^\\|[-:| ]+\\|$/m.test(e.textContent)) note('raw tables', e);
    }
    for (const e of document.querySelectorAll('.cell_output:has(> img), .pst-scrollable-table-container, .indextable')) {
        const hint = e.previousElementSibling;
        if (over(e) && desk) note('cut tables', e);
        if (over(e) && !desk && !(hint?.matches('.sideways') && hint.getClientRects().length && e.tabIndex === 0)) note('no hint', e);
    }
    for (const e of document.querySelectorAll('mjx-container[display="true"]')) {
        const [box, ...parts] = [e.parentElement, ...e.querySelectorAll('svg')].map(x => x.getBoundingClientRect());
        if (desk && box.width && parts.some(part => part.left < box.left - 1 || part.right > box.right + 1)) found.push(['cut equations', e.getBoundingClientRect().top + ' px down']);
    }
    for (const e of document.querySelectorAll('main .cell_output > img')) {
        const stretched = e.clientWidth * e.naturalHeight / (e.clientHeight * e.naturalWidth);
        if (e.complete && e.clientWidth && Math.abs(stretched - 1) > 0.03) found.push(['stretched figures', e.alt.slice(0, 60)]);
    }
    const link = [...document.querySelectorAll('.bd-links li.current > a')].pop(), seen = link?.getBoundingClientRect();
    if (desk && seen && !(seen.height > 0 && seen.top >= 0 && seen.bottom <= innerHeight)) note('current page out of view', link);
    for (const e of document.querySelectorAll('figure[data-dotseg] input[type=range]')) if (e.value !== e.min) note('slider not at its start', e.parentNode);
    return found;
}"""
AXE = """contrast => {
    document.querySelectorAll('pre').forEach(e => e.textContent = e.textContent);
    document.querySelectorAll('mjx-container').forEach(e => e.replaceChildren());
    const options = {preload: false, resultTypes: ['violations'], rules: {'color-contrast': {enabled: contrast}}};
    return axe.run(document, options).then(found => found.violations
        .filter(v => ['serious', 'critical'].includes(v.impact)).map(v => v.id + ' ' + v.nodes[0].target + ' (' + v.nodes.length + ')'));
}"""
FAULTS = ["console", "outside", "maths", "axe", "width", "undescribed figures", "cut code", "cut equations", "cut tables", "raw tables", "no hint", "current page out of view",
          "slider not at its start", "stretched figures"]


def look(page, name, address, found):
    "Open one page, note the faults by their kind, and give its title, ids and links."
    page.set_viewport_size({"width": WIDTHS[0], "height": 900})
    page.emulate_media(color_scheme="light", reduced_motion="reduce")  # or axe may meet a colour on its way to another
    page.goto(address)
    page.evaluate("window.MathJax && MathJax.startup.promise")
    found["maths"] += [f"{address}: {fault}" for fault in page.evaluate(MATHS)]
    found["undescribed figures"] += [f"{address}: {alt}" for alt in page.evaluate(UNDESCRIBED)]
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        for fault, what in page.evaluate(LAYOUT):
            found[fault].append(f"{address} at {width} px: {what}")
    about = page.title(), page.evaluate(IDS), page.evaluate(LINKS)
    page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text())
    kind = name.removesuffix(".html") in KINDS
    for width, scheme in ((1280, "light"), (390, "dark")) if kind else ((1280, "light"),):  # last: it changes the page
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        page.wait_for_function(f"document.documentElement.dataset.theme == '{scheme}'")
        found["axe"] += [f"{address} {scheme}: {fault}" for fault in page.evaluate(AXE, kind)]
    return about


@pytest.fixture(scope="module")
def visit(browser, site):
    "What was found on all pages: faults by kind, and the title, ids and links of each page by its address."
    found, pages = defaultdict(list), {}
    page = browser.new_page()
    page.on("console", lambda message: found["console"].append(f"{page.url}: {message.text}") if message.type == "error" else None)
    page.on("pageerror", lambda error: found["console"].append(f"{page.url}: {error}"))
    page.on("request", lambda r: None if r.url.startswith((site, "data:", "blob:")) else found["outside"].append(f"{page.url}: {r.url}"))
    paths = sorted(path.relative_to(SITE) for path in SITE.rglob("*.html"))
    for name in (path.as_posix() for path in paths if path.parts[0] not in ("_static", "_modules")):  # the theme's, listings
        pages[site + name] = look(page, name, site + name, found)
    page.close()
    return found, pages


@pytest.fixture(scope="module")
def page(browser):
    "One page for the tests that need one of their own."
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    yield page
    page.close()


@pytest.mark.parametrize("fault", FAULTS)
def test_no_page_has(visit, fault):
    assert visit[0][fault] == []


def test_links_lead_somewhere(visit, site):
    _, pages = visit
    ids = {address: set(names) for address, (_, names, _) in pages.items()}
    broken = set()
    for address, (_, _, links) in pages.items():
        for link in (link for link in links if link.startswith(site)):
            target, _, anchor = link.partition("#")
            target += "index.html" if target.endswith("/") else ""
            if anchor and not anchor.startswith("live:") and target in ids and anchor not in ids[target] or not (SITE / target.removeprefix(site).split("?")[0]).is_file():
                broken.add(f"{address} -> {link}")
    assert sorted(broken) == []


def test_titles_tell_apart(visit):
    common, words = {"a", "an", "and", "dotseg", "for", "from", "how", "in", "is", "it", "of", "on", "the", "to", "what"}, {}
    for address, (title, _, _) in visit[1].items():
        if "/reference/" not in address:
            words[address] = set(re.findall(r"\w+", title.lower())) - common
    alike = [(a, b) for a in words for b in words if a < b and words[a] and len(words[a] & words[b]) > 0.6 * min(len(words[a]), len(words[b])) > 1]
    assert alike == []


WANTED = {
    "segment a folder": "howto/folder", "velocity": "course/05_maximum_velocity", "sinkhorn": "course/01_sinkhorn", "background": "method/12_background",
    "attention": "course/03_attention", "install": "index", "GPU": "course/07_gpu", "many GPUs": "howto/many_gpus", "own CLIP": "howto/own_clip",
    "evaluate": "evaluation/06_runner", "nms": "course/02_logits", "bilateral": "course/06_upsampling", "eps": "course/01_sinkhorn",
    "command line": "app/02_command_line", "optimal path": "course/04_optimal_path", "doubly stochastic": "method/02_proportional_fitting",
    "own logits": "howto/own_logits", "data set": "evaluation/03_datasets", "presets": "segmentation/02_presets", "mIoU": "evaluation/01_metrics",
    "explorer": "app/05_explorer", "DINOv2": "models/06_vit", "reproduce": "howto/reproduce", "refine": "method/10_refine", "speed": "tutorials/speed",
    "joint_bilateral_upsample": "method/07_upsampling", "Segmenter": "segmentation/04_segmenter",
}


@pytest.mark.parametrize("query, wanted", WANTED.items())
def test_search_gives_the_page_first_with_an_excerpt_of_it(page, site, query, wanted):
    page.goto(f"{site}search.html?q={query.replace(' ', '+')}")
    first = page.locator("#search-results li").first
    first.locator("p.context").wait_for(timeout=10_000)
    assert first.locator("a").first.get_attribute("href").partition(".html")[0] == wanted
    text = " ".join(re.sub(r"<[^>]*>|\\[()\[\]]", "", (SITE / f"{wanted}.html").read_text()).split())
    excerpt = first.locator("p.context").text_content().strip("\u2026 ")
    assert "Light Dark" not in excerpt and len(excerpt) > 20
    parts = [part for part in re.split(r"[^\w\s,.;:]+", excerpt) if len(part) > 15]  # pieces without markup or entities
    assert [part for part in parts if part.strip() not in text] == []


@pytest.mark.parametrize("name", ["sinkhorn", "joint_bilateral_upsample"])
def test_search_finds_the_reference_too(page, site, name):
    page.goto(f"{site}search.html?q={name}")
    page.wait_for_selector("#search-results li a[href*='reference/method.']", timeout=10_000)


def test_a_line_of_a_hundred_columns_fits(page, site):
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(f"{site}howto/folder.html")
    box = page.locator(".cell_input pre").first
    before = box.evaluate("e => { e.textContent = 'x'; return e.clientHeight; }")
    assert box.evaluate("e => { e.textContent = 'x'.repeat(100); return e.clientHeight; }") == before
    assert box.evaluate("e => { e.textContent = 'x'.repeat(300); return e.clientHeight; }") > before  # and longer ones wrap


def test_code_can_be_copied(page, site):
    page.goto(f"{site}method/05_optimal_path.html")
    page.wait_for_selector("button.copybtn", state="attached")
    assert page.locator("button.copybtn").count() == page.locator(".cell_input pre").count()


def test_folded_code_opens_by_key_without_a_script_and_on_paper(browser, site):
    page = browser.new_page(java_script_enabled=False)
    page.goto(f"{site}method/01_sinkhorn.html")
    fold = page.locator("details.fold", has=page.locator("summary", has_text="Library code: sinkhorn")).first
    assert not fold.locator("pre").first.is_visible()
    page.emulate_media(media="print")
    assert fold.locator("pre").first.bounding_box()["height"] > 100
    page.emulate_media(media="screen")
    fold.locator("summary").focus()
    page.keyboard.press("Enter")
    assert fold.locator("pre").first.is_visible()
    assert page.locator("details.fold > summary[aria-label]").count() == 0  # the line itself is its name
    page.close()


def test_the_meaning_of_a_symbol_is_on_a_phone(page, site):
    page.set_viewport_size({"width": 390, "height": 900})
    page.goto(f"{site}symbols.html")
    cells = page.locator("main table").first.locator("td:nth-child(2)")
    boxes = [cell.bounding_box() for cell in cells.all()]
    assert len(boxes) > 15 and all(box["x"] >= 0 and box["x"] + box["width"] <= 390 for box in boxes)


def test_the_contents_open_at_the_current_page_on_a_phone(page, site):
    page.set_viewport_size({"width": 390, "height": 900})
    page.goto(f"{site}howto/own_clip.html")
    page.locator(".primary-toggle").first.click()
    page.wait_for_function("""() => { const seen = [...document.querySelectorAll('.bd-links li.current > a')].pop().getBoundingClientRect();
        return seen.height > 0 && seen.top >= 0 && seen.bottom <= innerHeight; }""", timeout=5000)


def test_gallery_and_reference_lead_to_each_other(visit, site):
    _, pages = visit
    shown = {link.partition("#")[0] for link in pages[f"{site}gallery.html"][2]}
    drawn = {f"{site}{path.relative_to(SITE).with_suffix('.html').as_posix()}" for path in (SITE.parent / "src").rglob("*.ipynb") for path in
             [SITE / path.relative_to(SITE.parent / "src")] if "image/png" in (SITE.parent / "src" / path.relative_to(SITE)).read_text() and path.stem != "index"}
    assert drawn and drawn <= shown
    for address, (_, _, links) in pages.items():
        if "/reference/" in address and not address.endswith("reference/index.html"):
            lessons = {link.partition("#")[0] for link in links} & {a for a in pages if "/nbs/" not in a and re.search(r"/\d\d_\w+\.html$", a)}
            assert lessons, address


def test_each_notebook_can_be_opened_from_its_page(visit, site):
    _, pages = visit
    for path in (path.relative_to(SITE).with_suffix("") for path in SITE.rglob("*.html") if (SITE.parent / "src" / path.relative_to(SITE).with_suffix(".ipynb")).exists()):
        links = pages[f"{site}{path.as_posix()}.html"][2]
        assert any(link.endswith(f"/nbs/{path.as_posix()}.ipynb") for link in links), path


def test_each_notebook_has_its_page_in_the_contents(visit, site):
    notebooks = Path(__file__).parents[2] / "nbs"
    _, pages = visit
    linked = set(pages[f"{site}index.html"][2])
    wanted = {f"{site}{path.relative_to(notebooks).with_suffix('.html').as_posix()}" for path in notebooks.rglob("[!._]*.ipynb")}
    assert {page for page in wanted if page not in linked and page + "#" not in linked} - {f"{site}index.html"} == set()


@pytest.mark.parametrize("lesson, sliders", [("course/01_sinkhorn", 1), ("course/04_optimal_path", 1), ("course/05_maximum_velocity", 1), ("method/06_maximum_velocity", 2)])
def test_sliders_of_a_lesson_change_their_pictures(page, site, lesson, sliders):
    page.goto(f"{site}{lesson}.html")
    figures = page.locator("figure[data-dotseg]", has=page.locator("input[type=range]"))
    assert figures.count() >= sliders
    for figure in figures.all():
        before = figure.locator("img").get_attribute("src"), figure.locator("output").text_content()
        figure.locator("input").press("End")
        assert figure.locator("img").get_attribute("src") != before[0] and figure.locator("output").text_content() != before[1]


def test_attention_follows_the_pointer(page, site):
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(f"{site}course/03_attention.html")
    image, maps = page.get_by_role("application"), page.get_by_role("img", name="attention of the marked patch")
    image.scroll_into_view_if_needed()
    before, box = maps.evaluate("x => getComputedStyle(x).backgroundPosition"), image.bounding_box()
    page.mouse.move(box["x"] + 0.1 * box["width"], box["y"] + 0.9 * box["height"])
    assert maps.evaluate("x => getComputedStyle(x).backgroundPosition") != before

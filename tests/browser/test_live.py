"The live page in Chromium: its numbers against Python's, pointer, touch, keys and addresses, and what a screen reader is told."
import json
import re
import sys
from importlib.resources import files
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1]))

from live_cases import ANSWER, SEEDS, STATES, compare, text  # noqa: E402

pytestmark = pytest.mark.browser

SITE = Path(__file__).parents[2] / "docs" / "_build" / "html"
READY = ".dotseg-live[data-ms]"
AXE = """() => axe.run(document.querySelector('.dotseg-live'), {preload: false}).then(found => found.violations.map(v => v.id + ' ' + v.nodes[0].target + ' (' + v.nodes.length + ')'))"""


@pytest.fixture
def visit(browser, site):
    "Open a page of the site with an explorer on it; no error and no request to elsewhere is let pass."
    pages, faults = [], []

    def open_page(address="tutorials/playground.html", width=1280, scheme="light", more="", **options):
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce", **options)
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda request: None if request.url.startswith((site, "file:", "data:", "blob:")) else faults.append(request.url))
        pages.append(page)
        if more:  # stands before the first section
            html = (SITE / address).read_text().replace("<h2>What you see", f"{more}<h2>What you see", 1)
            page.route(site + address, lambda route: route.fulfill(body=html, content_type="text/html"))
        page.goto(address if ":" in address.partition("#")[0] else site + address)
        page.wait_for_selector(READY)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert faults == []


def settle(page):
    "Wait until what was changed is drawn."
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 0))))")


def after(page):
    "The label of the mask after: what it is called, and the share of each class."
    return page.locator(".dl-after canvas").get_attribute("aria-label")


@pytest.fixture(scope="module")
def chromium_page(browser, site):
    page = browser.new_page()
    page.goto(site + "tutorials/playground.html")
    page.wait_for_selector(READY)
    yield page
    page.close()


@pytest.mark.parametrize("seed", SEEDS)
def test_numbers_agree_with_python(chromium_page, seed):
    ask = f"async ([seed, texts]) => ({ANSWER})(dotsegLive, await dotsegLive.load(seed, dotsegLive.base), texts)"
    answers = json.loads(chromium_page.evaluate(ask, [seed, [text(state) for state in STATES]]))
    for state, got in zip(STATES, answers):
        compare(seed, state, got)


@pytest.mark.parametrize("address", ["index.html", "tutorials/playground.html"])
def test_the_explorer_comes_before_everything_else(visit, address):
    page = visit(address)
    box = page.locator(".dl-panels").bounding_box()
    assert box["y"] + box["height"] < 900  # the first screen of a desk
    assert page.locator(".dotseg-live").evaluate("e => !e.textContent.includes('Open the live page')")


def test_it_works_from_a_folder(visit):
    page = visit((SITE / "tutorials" / "playground.html").as_uri() + "#live:mode=velocity")
    assert after(page).startswith("Mask, Maximum velocity")
    page.get_by_role("radio", name="The method loses").check(force=True)
    page.wait_for_function("document.querySelector('.dl-why').textContent.startsWith('The method loses')")


def test_pointer_shows_the_attention_of_a_patch(visit):
    page = visit()
    frame, said = page.get_by_role("application"), page.locator(".dl-say")
    picture, box, hint = "document.querySelector('.dl-picture canvas').toDataURL()", frame.bounding_box(), said.text_content()
    plain = page.evaluate(picture)
    page.mouse.move(box["x"] + box["width"] * 0.53, box["y"] + box["height"] * 0.59)  # row 9 of 16, column 8
    settle(page)
    lit = page.evaluate(picture)
    assert said.text_content().startswith("Row 10, column 9. Truth: ball. Before: sky. After: ball.") and lit != plain
    assert page.locator(".dl-mark:visible").count() == 3
    page.mouse.move(0, 0)
    settle(page)
    assert page.evaluate(picture) == plain and said.text_content() == hint


def test_touch_keeps_a_patch_and_lets_go(visit):
    page = visit(width=390, has_touch=True)
    frame, said = page.get_by_role("application"), page.locator(".dl-say")
    frame.scroll_into_view_if_needed()
    box = frame.bounding_box()
    place = box["x"] + box["width"] * 0.03, box["y"] + box["height"] * 0.97
    page.touchscreen.tap(*place)
    settle(page)
    assert said.text_content().startswith("Row 16, column 1.")
    page.touchscreen.tap(*place)
    settle(page)
    assert said.text_content().startswith("Point at")


def test_keys_move_the_patch_and_the_stage(visit):
    page = visit()
    page.get_by_role("application").focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowUp"):  # the first begins in the middle
        page.keyboard.press(key)
    settle(page)
    assert page.locator(".dl-say").text_content().startswith("Row 8, column 10.")
    page.keyboard.press("Escape")
    settle(page)
    assert page.locator(".dl-say").text_content().startswith("Point at")
    slider, seen = page.get_by_label("Stage of the method"), []
    slider.focus()
    page.keyboard.press("Home")
    for _ in range(30):
        settle(page)
        seen.append(slider.get_attribute("aria-valuetext"))
        page.keyboard.press("ArrowRight")
    stages = list(dict.fromkeys(value.split(":")[0] for value in seen))
    assert stages == ["logits", "selection", "spreading", "pixels"]
    assert len({value for value in seen if value.startswith("spreading: iteration")}) >= 8


def test_each_control_changes_the_mask_after_and_only_names_that_before(visit):
    page = visit("tutorials/playground.html#live:page=1500130")
    masks = lambda: [page.evaluate(f"document.querySelector('.dl-{side} canvas').toDataURL()") for side in ("before", "after")]

    def change(act, both=False):
        before = masks()
        act()
        settle(page)
        now = masks()
        assert now[1] != before[1] and (now[0] != before[0]) == both
        assert page.locator(".dl-after b").text_content().startswith("IoU ")

    for mode in ("Maximum velocity", "Both, fused", "Contrast vote", "Kernel vote", "KL divergence", "Selection alone", "Optimal path"):
        change(lambda: page.get_by_role("radio", name=mode).check(force=True))
    for name, keys in {"Smoothness ε": ["End"], "Iterations": ["Home"], "Threshold": ["Home"]}.items():
        for key in keys:
            change(lambda: page.get_by_label(name).press(key))
    change(lambda: page.get_by_role("radio", name="price of a patch").check(force=True))
    change(lambda: page.get_by_role("button", name="gravel", exact=True).click(), both=True)
    assert page.get_by_role("button", name="gravel", exact=True).get_attribute("aria-pressed") == "false"
    change(lambda: page.get_by_label("The rest is background").check(), both=True)
    assert page.locator(".dl-after canvas").get_attribute("aria-label").count("background") == 1
    page.get_by_label("Outline the truth").check()
    settle(page)
    change(lambda: page.get_by_label("After shows").select_option("the map of ball"))
    assert re.match("Map of ball: dark −?[0-9.]+, bright", after(page))
    change(lambda: page.get_by_label("After shows").select_option("the mask"))
    assert page.locator(".dl-after svg").is_visible()
    change(lambda: page.get_by_role("button", name="Start again").click(), both=True)
    change(lambda: page.get_by_role("radio", name="Maximum velocity").check(force=True))
    change(lambda: page.get_by_label("After shows").select_option("the steps of ball"))
    assert re.match(r"Map of ball, steps: dark 1\.00, bright [0-9.]+$", after(page))
    change(lambda: page.get_by_label("After shows").select_option("the level of ball"))
    assert re.match(r"Map of ball, level: dark 0?\.?[0-9.e−]+, bright 0\.9[0-9]+$", after(page))
    change(lambda: page.get_by_label("After shows").select_option("the mask"))
    change(lambda: page.get_by_label("Tolerance τ").press("Home"))


def test_steps_and_level_of_the_velocity_apart(visit):
    address = "tutorials/playground.html#live:mode=velocity&stage=spreading&show=ball&part="
    assert re.match(r"Map of ball, steps: dark 1\.00, bright [2-9]\.00$", after(visit(address + "steps")))
    assert re.match(r"Map of ball, level: dark 0\.0\d+, bright 0\.999$", after(visit(address + "level")))


def test_the_address_keeps_the_state(visit):
    page = visit("tutorials/playground.html#live:mode=velocity&tau=0.1&stage=spreading&step=2&patch=3,4&classes=sky,ball&background=1")
    shown = lambda: [page.evaluate(f"document.querySelector('.dl-{side} canvas').toDataURL()") for side in ("before", "after")]
    assert after(page).startswith("Mask, step 2:") and page.locator(".dl-say").text_content().startswith("Row 4, column 5.")
    page.get_by_label("Tolerance τ").press("ArrowRight")
    page.wait_for_function("decodeURIComponent(location.hash).includes('tau=0.105')")
    settle(page)
    again = visit(page.url)
    assert shown() == [again.evaluate(f"document.querySelector('.dl-{side} canvas').toDataURL()") for side in ("before", "after")]
    page.get_by_role("link", name="maximum velocity, after two steps").click()  # far below, on the same page
    page.wait_for_function("!location.hash.includes('patch') && document.querySelector('.dl-after canvas').getAttribute('aria-label').startsWith('Mask, step 2')")
    assert page.evaluate("scrollY") < 400


NONSENSE = ["mode=nothing", "mode=logits", "eps=-3&mode=path", "eps=1e999", "page=7", "classes=cat", "patch=99,0", "stage=selection&mode=contrast", "step=x&stage=spreading", "%E0%A4%A", "threshold=NaN", "show=cat", "part=half"]


def test_addresses_that_ask_for_nonsense_are_survived(visit):
    page = visit("tutorials/playground.html#live:%E0%A4%A")
    for asked in NONSENSE:
        page.evaluate("() => document.querySelector('.dotseg-live').removeAttribute('data-ms')")
        page.evaluate("asked => { location.hash = '#live:' + asked; }", asked)
        page.wait_for_selector(READY)
        assert after(page).startswith("Mask, ")


def test_a_lesson_can_hold_explorers_in_states_of_their_own(visit):
    page = visit(more='<div class="dotseg-live" data-state="mode=velocity&amp;stage=selection"><a href="x">Open it</a></div>')
    page.locator(".dotseg-live").nth(1).scroll_into_view_if_needed()
    page.wait_for_function("document.querySelectorAll('.dotseg-live[data-ms]').length == 2")
    second = page.locator(".dotseg-live").nth(1)
    assert second.get_by_role("radio", name="Maximum velocity").is_checked()
    assert second.locator(".dl-stages [aria-pressed=true]").text_content() == "selection"


@pytest.mark.parametrize("width", [390, 1280, 1920])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_has_a_name_and_fits(visit, width, scheme):
    page = visit("tutorials/playground.html#live:mode=path&classes=sky,ball&background=1&patch=3,4&truth=1", width, scheme)
    page.wait_for_function(f"document.documentElement.dataset.theme == '{scheme}'")
    page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text())
    assert page.evaluate(AXE) == []
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    names = page.evaluate("[...document.querySelectorAll('.dotseg-live :is(input, button)')].map(e => e.labels?.[0]?.textContent || e.labels?.[0]?.querySelector('img')?.alt || e.ariaLabel || e.textContent)")
    assert all(name.strip() for name in names)
    small = page.evaluate("[...document.querySelectorAll('.dotseg-live :is(button, .dl-pills label, .dl-pages label, .dl-row label)')].map(e => [e.textContent, e.getBoundingClientRect()]).filter(([, r]) => r.width && r.height < 24).map(([t]) => t)")
    assert small == []  # targets of a finger, WCAG 2.5.8


def test_without_javascript_there_is_a_link(browser, site):
    page = browser.new_page(java_script_enabled=False)
    page.goto(site + "index.html")
    assert page.locator(".dotseg-live a").get_attribute("href") == "tutorials/playground.html"
    page.close()


def test_a_missing_file_is_told(browser, site):
    page = browser.new_page()
    page.route(re.compile(r"/live/\d+\.js"), lambda route: route.abort())
    page.goto(site + "index.html")
    page.wait_for_selector(".dl-failed")
    assert "could not be read" in page.get_by_role("status").text_content()
    page.close()


def test_how_long_a_change_takes(visit):
    "Nothing is asserted of the time, which is the machine's: `pytest -s` shows it."
    page = visit("tutorials/playground.html#live:page=1500130")
    for mode, label in {"Optimal path": "Smoothness ε", "Maximum velocity": "Tolerance τ", "Both, fused": "Threshold", "Contrast vote": "Smoothness ε"}.items():
        page.get_by_role("radio", name=mode).check(force=True)
        settle(page)
        times = page.get_by_label(label).evaluate("""async input => {
            const root = input.closest('.dotseg-live'), low = Number(input.min), high = Number(input.max), times = [];
            for (let i = 0; i < 20; i++) {
                input.value = low + (high - low) * (0.3 + 0.4 * i / 20);
                input.dispatchEvent(new Event('input'));
                await new Promise(done => requestAnimationFrame(() => setTimeout(done, 0)));
                times.push([Number(root.dataset.ms), Number(root.dataset.frame)]);
            }
            return times;
        }""")
        ms, frame = (sorted(column)[len(times) // 2] for column in zip(*times))
        print(f"{mode}: {ms:.1f} ms to work out, {frame:.1f} ms with drawing")
        assert len(times) == 20 and ms > 0

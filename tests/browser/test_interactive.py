"The slider and the attention viewer of the figures page, by keyboard, pointer and touch, on one page without a kernel."
import html
import re

import numpy as np
import pytest

from dotseg.figures.viewers import attention_viewer, scrub

pytestmark = pytest.mark.browser
GREYS = [np.full((60, 90, 3), value, np.uint8) for value in (0, 120, 240)]
SMALL = np.kron(np.eye(2), np.ones((6, 6)))
PARTS = [
    scrub(GREYS, ["dark", "a < b", "light"], "Brightness"),
    scrub(GREYS[:2], ["one", "two"], "Another"),
    attention_viewer(GREYS[1], SMALL, (3, 4), (0, 0)),
]
PAGE = "<!doctype html><meta name=viewport content='width=device-width'>" + "".join(part._repr_html_() for part in PARTS)


@pytest.fixture(params=[1000, 360])
def page(browser, request):
    page = browser.new_page(viewport={"width": request.param, "height": 900}, has_touch=True)
    errors, requests = [], []
    page.on("console", lambda message: errors.append(message.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.set_content(PAGE)
    yield page
    assert errors == [] and [url for url in requests if not url.startswith("data:")] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.close()


def test_slider_by_keyboard_changes_its_own_picture_only(page):
    slider, picture = page.get_by_label("Brightness"), page.locator("img").first
    other = page.locator("img").nth(1).get_attribute("src")
    dark = picture.get_attribute("src")
    assert page.locator("output").first.text_content() == "dark"
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("output").first.text_content() == slider.get_attribute("aria-valuetext") == "a < b"
    assert picture.get_attribute("alt") == "Brightness: a < b"
    assert picture.get_attribute("src") != dark
    page.keyboard.press("End")
    assert page.locator("output").first.text_content() == "light"
    assert page.locator("img").nth(1).get_attribute("src") == other


def test_viewer_by_pointer_touch_and_keys(page):
    image, maps, text = page.get_by_role("application"), page.get_by_role("img", name="attention"), page.locator("output").last

    def shown():
        return maps.evaluate("x => getComputedStyle(x).backgroundPosition")

    box, before = image.bounding_box(), shown()
    page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 0.5 * box["height"])
    assert text.text_content() == "patch in row 1, column 3" and shown() != before
    page.touchscreen.tap(box["x"] + 0.1 * box["width"], box["y"] + 0.9 * box["height"])
    assert text.text_content() == "patch in row 2, column 0"
    image.focus()
    assert image.evaluate("x => getComputedStyle(x).outlineWidth") == "3px"
    for key in ("ArrowDown", "ArrowRight", "ArrowUp"):  # the first stays at the edge
        page.keyboard.press(key)
    assert text.text_content() == "patch in row 1, column 1"


def test_without_javascript_the_last_frame_is_shown(browser):
    page = browser.new_page(java_script_enabled=False)
    page.set_content(PAGE)
    assert page.locator("img").first.get_attribute("alt") == "Brightness: light"
    assert page.locator("input").first.is_hidden()
    last = re.search(r"frames = \[.*?\"(data:[^\"]+)\"\]", html.unescape(PARTS[0].html))[1]
    assert page.locator("img").first.get_attribute("src") == last
    page.close()

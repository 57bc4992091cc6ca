"""A report in a real browser."""

import shutil

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def browser():
    """Chromium without a window; skips where it, or what drives it, is missing."""
    api = pytest.importorskip("playwright.sync_api", reason="no playwright")
    if not CHROMIUM:
        pytest.skip("no Chromium")
    with api.sync_playwright() as driver:
        one = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield one
        one.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1200])
def test_a_browser_finds_nothing_wrong(browser, drawn, width, scheme):
    page_path = drawn.page
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    told, asked = [], []
    page.on("console", lambda message: told.append(message.text))
    page.on("pageerror", lambda error: told.append(str(error)))
    page.on("dialog", lambda dialog: told.append(dialog.message))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(page_path.as_uri())
    assert told == []
    assert asked == [page_path.as_uri()], "nothing but the page itself"
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "no horizontal scroll"
    images = page.locator("[role=img]")
    assert images.count() == 8
    for index in range(images.count()):
        image = images.nth(index)
        box = image.bounding_box()
        assert box["width"] > 200
        assert box["height"] > 60
        assert box["x"] + box["width"] <= width
        assert len(image.get_attribute("aria-label")) > 60
        assert image.locator("svg").count() == 1
    ink, paper = (page.evaluate(f"getComputedStyle(document.body).{name}") for name in ("color", "backgroundColor"))
    assert (sum(numbers(ink)) > sum(numbers(paper))) == (scheme == "dark")
    page.close()


def numbers(colour):
    return [int(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]

"""The page of a run in a real browser."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page

import polyroots as pr
from polyroots.training import load_run

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# Software rendering gives WebGL without a GPU.
ARGUMENTS = [
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (on Debian: apt install chromium)"),
]


@pytest.fixture(scope="module")
def address(tracked: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = pr.write_report(tracked, tmp_path_factory.mktemp("report") / "report.html")
    return path.as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=ARGUMENTS, env={**os.environ, "LC_ALL": "C"}
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def page(browser: Browser, address: str) -> Any:
    """Return the page on a wide screen, with its console messages and its requests."""
    page: Any = browser.new_page(viewport={"width": 1000, "height": 900})
    page.complaints, page.requests = [], []
    page.on("console", lambda message: page.complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("request", lambda request: page.requests.append(request.url))
    page.goto(address)
    page.wait_for_selector("body[data-state=ready]", timeout=60_000)
    return page


def drawn(page: Page, name: str) -> Locator:
    """Scroll a plot into view, and return it when it is drawn."""
    plot = page.locator(f"#{name}")
    plot.scroll_into_view_if_needed()
    page.wait_for_function("plot => plot.dataset.state === 'drawn'", arg=plot.element_handle(), timeout=60_000)
    return plot


def picture(plot: Locator) -> Image.Image:
    return Image.open(io.BytesIO(plot.screenshot())).convert("RGB")


def colours(plot: Locator) -> int:
    return len(picture(plot).getcolors(2**24))


def eye(plot: Locator) -> Any:
    return plot.evaluate("plot => plot.layout.scene.camera.eye")


def test_every_plot_is_drawn_without_a_complaint(page: Any) -> None:
    names = page.eval_on_selector_all(".plot", "plots => plots.map(plot => plot.id)")
    assert len(names) == 7
    for name in names:
        plot = drawn(page, name)
        page.wait_for_timeout(300)
        if name.startswith("surface"):
            assert plot.locator("canvas").count() >= 1
            # A surface has many shaded colours, an empty scene only those of axes and legend.
            assert colours(plot) > 1000
        else:
            assert plot.locator(".scatterlayer .trace path.point, .scatterlayer .trace path.js-line").count() > 3
    assert page.complaints == []
    assert all(url.startswith(("file:", "data:", "blob:")) for url in page.requests)
    buttons = page.eval_on_selector_all(".modebar-btn", "all => all.map(button => button.dataset.title)")
    assert buttons
    assert not [title for title in buttons if "Share" in title or "cloud" in title.lower()]


def test_a_drag_turns_the_surface_and_keys_do(page: Any) -> None:
    plot = drawn(page, "surface-0")
    before, image = eye(plot), picture(plot)
    box = plot.bounding_box()
    x, y = box["x"] + 0.45 * box["width"], box["y"] + 0.45 * box["height"]
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 120, y + 20, steps=6)
    page.mouse.up()
    page.wait_for_timeout(500)
    after = eye(plot)
    assert abs(after["x"] - before["x"]) + abs(after["y"] - before["y"]) > 0.1
    assert picture(plot).tobytes() != image.tobytes()
    plot.focus()
    page.keyboard.press("ArrowRight")
    turned = "([plot, x]) => plot.layout.scene.camera.eye.x !== x"
    page.wait_for_function(turned, arg=[plot.element_handle(), after["x"]])
    radius = sum(value**2 for value in eye(plot).values())
    page.keyboard.press("+")
    page.wait_for_timeout(300)
    assert sum(value**2 for value in eye(plot).values()) == pytest.approx(radius / 1.2**2)
    page.locator('.controls[data-plot="surface-0"] button[data-key="0"]').click()
    page.wait_for_timeout(300)
    assert eye(plot) == pytest.approx(before)


def test_hovering_shows_the_eigenvalue_and_q(page: Any) -> None:
    plot = drawn(page, "plane-0")
    x, y = plot.evaluate(
        """plot => {
            const roots = plot.data.findIndex((t) => t.name?.startsWith("roots") && t.visible === true);
            const { xaxis, yaxis } = plot._fullLayout;
            const point = plot.calcdata[roots].find((p) => p.y > 0) ?? plot.calcdata[roots][0];
            const box = plot.getBoundingClientRect();
            return [box.left + xaxis._offset + xaxis.l2p(point.x), box.top + yaxis._offset + yaxis.l2p(point.y)];
        }"""
    )
    page.mouse.move(x - 30, y)
    page.mouse.move(x, y, steps=4)
    label = plot.locator(".hovertext").first
    label.wait_for(timeout=10_000)
    words = label.text_content()
    assert "Re " in words
    assert "Im " in words
    page.mouse.move(0, 0)
    plot.focus()
    page.keyboard.press("ArrowRight")
    said = page.locator("#level-1 .said").first
    page.wait_for_function("said => said.textContent !== ''", arg=said.element_handle())
    first = said.text_content()
    assert first.startswith(("eigenvalue ", "root "))
    smallest = plot.evaluate(
        """plot => Math.min(...plot.calcdata.filter((c) => c[0].trace.mode === "markers" && c[0].trace.visible === true)
                                            .flatMap((c) => c.map((p) => p.x)))"""
    )
    assert float(first.split()[1]) == pytest.approx(smallest, rel=1e-4)
    page.keyboard.press("PageDown")
    assert said.text_content() != first


def test_keys_go_from_epoch_to_epoch(page: Any, tracked: Path) -> None:
    plot = drawn(page, "curves")
    plot.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    said = page.locator("#curves-section .said").text_content()
    metrics = load_run(tracked).metrics
    assert said.startswith("epoch 2: ")
    assert float(said.split("training loss ")[1].split(",")[0]) == pytest.approx(metrics["train_loss"][1], rel=1e-3)
    assert float(said.split("test accuracy ")[1].split(",")[0]) == pytest.approx(
        100 * metrics["test_accuracy"][1], rel=1e-3
    )
    assert plot.locator(".hoverlayer .legend, .hoverlayer .hovertext").count() > 0


def test_the_moment_before_training_can_be_shown(page: Any) -> None:
    visible = "plot => plot.data.filter((t) => t.visible === true).map((t) => t.meta)"
    plots = [drawn(page, name) for name in ("plane-1", "surface-1")]
    assert all(set(plot.evaluate(visible)) == {"after"} for plot in plots)
    before = plots[0].evaluate("plot => plot.layout.xaxis.range")
    page.locator('#level-2 input[value="before"]').check()
    page.wait_for_timeout(500)
    assert all(set(plot.evaluate(visible)) == {"before"} for plot in plots)
    assert plots[0].evaluate("plot => plot.layout.xaxis.range") != before
    # Other levels stay as they are.
    assert set(drawn(page, "plane-0").evaluate(visible)) == {"after"}
    page.locator('#level-2 input[value="after"]').check()


def test_all_can_be_reached_by_the_keyboard(page: Any) -> None:
    page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
    reached = set()
    for _ in range(100):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                """(() => {
                    const { id, dataset, name, tagName } = document.activeElement;
                    return id || dataset.key || name || tagName;
                })()"""
            )
        )
    assert {"curves", "plane-0", "surface-0", "flow-0", "plane-1", "surface-1", "flow-1"} <= reached
    assert {"ArrowLeft", "+", "moment-1", "moment-2", "SUMMARY", "A"} <= reached


def test_print_has_still_pictures(page: Any) -> None:
    page.emulate_media(media="print")
    assert page.locator(".still").first.is_visible()
    assert not page.locator(".plot.surface").first.is_visible()
    assert not page.locator(".controls").first.is_visible()
    assert page.locator("#plane-0").is_visible()
    pdf = page.pdf(format="A4")
    assert pdf.startswith(b"%PDF")
    assert page.locator("details").first.evaluate("part => part.open")
    page.emulate_media(media="screen")
    assert not page.locator(".still").first.is_visible()


def test_a_telephone_can_read_it(browser: Browser, address: str) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True)
    page = context.new_page()
    complaints = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address)
    page.wait_for_selector("body[data-state=ready]", timeout=60_000)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    boxes_that_scroll = "[...document.querySelectorAll('.wide')].filter(box => box.scrollWidth > box.clientWidth)"
    assert page.evaluate(f"{boxes_that_scroll}.map(box => box.innerText)") == []
    for name in ("curves", "plane-0", "surface-0"):
        assert drawn(page, name).bounding_box()["width"] <= 360
    # Names of axes, colour bars and legends are below each other, and fill the plots.
    for name in ("curves", "plane-0", "flow-0"):
        plot = drawn(page, name)
        parts = [plot.locator(part).last.bounding_box() for part in (".xtitle, .x3title, .x2title", ".legend")]
        if name == "plane-0":
            parts.insert(1, plot.locator(".colorbar").last.bounding_box())
        boxes: Any = [*parts, {"y": plot.bounding_box()["y"] + plot.bounding_box()["height"]}]
        gaps = [after["y"] - before["y"] - before["height"] for before, after in pairwise(boxes)]
        assert all(-1 <= gap < 60 for gap in gaps), (name, gaps)
    ticks = page.locator("#curves .x3tick text, #flow-0 .x2tick text").all_text_contents()
    assert ticks
    assert all(tick.isdigit() for tick in ticks)
    # A finger on a flat plot scrolls the page.
    assert page.locator("#plane-0").evaluate("plot => plot.layout.dragmode") is False
    assert complaints == []
    context.close()


def test_without_webgl_there_are_still_pictures(browser: Browser, address: str) -> None:
    page = browser.new_page()
    page.add_init_script(
        """const original = HTMLCanvasElement.prototype.getContext;
           HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
             return String(kind).includes("webgl") ? null : original.call(this, kind, ...rest);
           };"""
    )
    page.goto(address)
    page.wait_for_selector("body[data-state=ready]", timeout=60_000)
    assert page.locator(".still").first.is_visible()
    assert not page.locator(".plot.surface").first.is_visible()
    page.close()

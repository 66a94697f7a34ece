"""The studio in a browser, as people use it: `make test-studio`."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from serving import free_port, served, wait_for

from ncsn import GaussianMixtureScore
from ncsn.studio.pages import FILES

pytest.importorskip("playwright")
from playwright.sync_api import Browser, Page, expect

pytestmark = pytest.mark.browser

DOCS = Path(__file__).parents[2] / "docs"
sys.path.insert(0, str(DOCS))

PATIENCE = 60_000
"""Milliseconds that a machine with much else to do may take."""

expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Serve a studio, by the command."""
    port = free_port()
    command = [sys.executable, "-m", "ncsn", "studio", "--no-open", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert f"http://127.0.0.1:{port}/" in line, line
        wait_for(port)
        yield f"http://127.0.0.1:{port}/"
        process.terminate()


@pytest.fixture
def open_page(browser: Browser, address: str) -> Iterator[Any]:
    """Open pages that must write nothing to the console, and ask nothing of any other host."""
    contexts, wrong = [], []

    def opened(where: str = "", address: str = address, **context: Any) -> Page:
        contexts.append(browser.new_context(**{"viewport": {"width": 1280, "height": 900}} | context))
        contexts[-1].grant_permissions(["clipboard-read", "clipboard-write"])
        page = contexts[-1].new_page()
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda message: wrong.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on(
            "request",
            lambda request: (
                None if request.url.startswith((address, "data:", "blob:")) else wrong.append(f"asked: {request.url}")
            ),
        )
        page.goto(address + where)
        expect(page.locator(".field figcaption").first).to_have_text("exact score")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not wrong


def number(page: Page, pattern: str) -> int:
    """Return a number that the page tells."""
    found = re.search(pattern, page.locator("body").inner_text())
    assert found, pattern
    return int(found.group(1).replace(",", ""))


def inked(page: Page, canvas: str) -> int:
    """Return how many of a canvas's pixels differ from its corner's."""
    script = """canvas => {
        const copy = Object.assign(document.createElement("canvas"), { width: canvas.width, height: canvas.height });
        const context = copy.getContext("2d", { willReadFrequently: true });
        context.drawImage(canvas, 0, 0);
        const data = context.getImageData(0, 0, canvas.width, canvas.height).data;
        let count = 0;
        for (let i = 4; i < data.length; i += 4) {
            if (Math.abs(data[i] - data[0]) + Math.abs(data[i + 1] - data[1]) + Math.abs(data[i + 2] - data[2]) > 30) count += 1;
        }
        return count;
    }"""
    return int(page.locator(canvas).first.evaluate(script))


def wait_for_change(page: Page, canvas: str, before: int) -> None:
    """Wait until a canvas shows something else."""
    for _ in range(PATIENCE // 100):
        if inked(page, canvas) != before:
            return
        page.wait_for_timeout(100)
    pytest.fail(f"{canvas} is as it was")


def address_of(page: Page) -> str:
    """Return what a page's address holds of it, which is written a fifth of a second after a change."""
    # by the page's own clock, so that what it still has to do comes first
    where = page.evaluate("new Promise(done => setTimeout(() => done(location.href), 400))")
    return str(where).split("/")[-1]


def choose(page: Page, name: str, value: str) -> None:
    page.locator(f"[data-setting={name}]").select_option(f'"{value}"')


def test_draw_train_slide_sample_and_run_the_copied_code(open_page: Any, tmp_path: Path) -> None:
    page = open_page()
    choose(page, "data", "drawing")
    expect(page.locator(".status")).to_contain_text("draw something first")
    canvas = page.locator(".data canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    for start in (0.25, 0.65):
        page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + start * box["height"])
        page.mouse.down()
        for k in range(1, 13):
            page.mouse.move(box["x"] + (0.2 + 0.05 * k) * box["width"], box["y"] + (start + 0.005 * k) * box["height"])
        page.mouse.up()
    expect(page.locator(".status")).to_have_text("")
    assert inked(page, ".data canvas") > 100
    page.locator("[data-setting=width]").fill("16")
    page.locator("[data-setting=steps]").fill("40")
    page.locator("[data-setting=steps]").press("Enter")
    page.locator("[data-setting=levels]").evaluate("input => { input.closest('details').open = true; }")
    for name, value in (("levels", "5"), ("per_level", "2"), ("langevin_steps", "10"), ("particles", "50")):
        page.locator(f"[data-setting={name}]").fill(value)
        page.locator(f"[data-setting={name}]").press("Enter")
    page.get_by_role("button", name="start training").click()
    expect(page.get_by_role("button", name="training is done")).to_be_visible()
    assert page.locator(".field figcaption").all_inner_texts() == ["exact score", "learned", "error"]
    slider = page.locator("[data-setting=sigma]")
    before = inked(page, ".field canvas")
    slider.focus()
    for _ in range(3):
        page.keyboard.press("PageDown")
    wait_for_change(page, ".field canvas", before)
    choose(page, "score", "learned")
    page.locator(".particles").get_by_role("button", name="start", exact=True).click()
    expect(page.locator(".particles .hint").nth(1)).to_contain_text("at its end")
    assert page.locator(".particles figcaption").all_inner_texts() == ["langevin", "annealed langevin"]
    assert number(page, r"(\d+) evaluations, at its end") >= 10
    page.get_by_role("button", name="copy as Python").click()
    code = page.locator("dialog pre").inner_text()
    assert page.evaluate("navigator.clipboard.readText()").strip() == code.strip()
    page.get_by_role("button", name="close").click()
    script = tmp_path / "copied.py"
    script.write_text(code + "\nprint(len(X), trainer.step, *sorted(drawn))\n", encoding="utf-8")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    count, step, *names = done.stdout.split()
    assert int(count) > 20 and step == "40" and names == ["annealed_langevin", "langevin"]
    # the address holds the drawing too
    assert 50 < inked(page, ".data canvas") < 3000
    again = open_page(address_of(page))
    assert again.locator("[data-setting=data]").input_value() == '"drawing"'
    assert again.locator("[data-setting=steps]").input_value() == "40"
    assert inked(again, ".data canvas") == inked(page, ".data canvas")


def test_modes_are_dragged_and_moved_by_keys(open_page: Any) -> None:
    page = open_page("#data=mixture&seed=3")
    canvas = page.locator(".data canvas")
    box = canvas.bounding_box()

    def at(x: float, y: float) -> tuple[float, float]:
        return box["x"] + (x + 3) / 6 * box["width"], box["y"] + (3 - y) / 6 * box["height"]

    page.mouse.move(*at(-1.4, -1.2))
    page.mouse.down()
    page.mouse.move(*at(-1, 2), steps=5)
    page.mouse.up()
    assert "mixture=" in address_of(page)
    modes = page.evaluate("JSON.parse(new URLSearchParams(location.hash.slice(1)).get('mixture'))")
    assert modes[0][1] == pytest.approx(-1, abs=0.05) and modes[0][2] == pytest.approx(2, abs=0.05)
    canvas.focus()
    page.keyboard.press("ArrowRight")
    assert "seed=3" in address_of(page)
    moved = page.evaluate("JSON.parse(new URLSearchParams(location.hash.slice(1)).get('mixture'))")
    assert moved[0][1] == pytest.approx(modes[0][1] + 0.1) and moved[1] == modes[1]


def test_a_csv_file_is_read(open_page: Any, tmp_path: Path) -> None:
    page = open_page()
    file = tmp_path / "some.csv"
    file.write_text("a;b;c\n" + "".join(f"{k};{k % 7},5;x\n" for k in range(60)), encoding="utf-8")
    choose(page, "data", "table")
    page.get_by_label("a CSV file").set_input_files(file)
    expect(page.locator(".data select:not([data-setting]) >> nth=0")).to_have_value("a")
    expect(page.locator(".status")).to_have_text("")
    assert inked(page, ".data canvas") > 20


def test_single_steps_scrubbing_and_pictures(open_page: Any) -> None:
    page = open_page("#samplers=%5B%22heun%22%5D&levels=4&particles=50")
    particles = page.locator(".particles")
    for step in ("0", "1", "2"):
        particles.get_by_role("button", name="one step").click()
        expect(page.get_by_label("step that is shown")).to_have_value(step)
    page.get_by_label("step that is shown").fill("0")
    expect(particles.locator(".hint").first).to_contain_text("step 0")
    page.keyboard.press("Escape")
    for name, head in (("save PNG", b"\x89PNG"), ("save GIF", b"GIF8")):
        with page.expect_download() as saved:
            particles.get_by_role("button", name=name).click()
        assert Path(saved.value.path()).read_bytes()[:4] == head


def test_the_log_density_classes_and_a_measurement(open_page: Any) -> None:
    page = open_page("#data=eight_gaussians&width=16&steps=20&particles=20&levels=10")
    page.get_by_role("button", name="log-density").click()
    expect(page.locator(".field figcaption").first).to_have_text("exact log-density")
    page.get_by_role("button", name="score field").click()
    expect(page.locator(".field figcaption").first).to_have_text("exact score")
    page.get_by_role("button", name="log-density").click()
    expect(page.locator(".field figcaption").first).to_have_text("exact log-density")
    page.locator("[data-setting=label]").select_option("2")
    expect(page.locator(".field figcaption").first).to_have_text("exact score")
    page.locator("[data-setting=label]").select_option("-1")
    page.locator("[data-setting=measured]").check()
    expect(page.locator(".particles figcaption")).to_have_text(["given the measurement"])
    expect(page.locator(".particles .hint").first).to_contain_text("at its end")
    assert page.locator("[data-setting=angle]").is_visible()


def test_every_tour_can_be_taken_to_its_end(open_page: Any) -> None:
    page = open_page("#width=16")
    tours = page.get_by_label("guided tours")
    tours.select_option("0")
    # "watch the bars below the particles"
    expect(page.locator(".particles canvas.bars").first).to_be_in_viewport(ratio=1)
    titles = tours.locator("option").all_inner_texts()[1:]
    assert len(titles) == 5
    for number_, title in enumerate(titles):
        tours.select_option(str(number_))
        while True:
            expect(page.locator(".tour h2")).to_contain_text(title)
            page.wait_for_timeout(300)
            assert not page.locator(".status.wrong").count(), page.locator(".status").inner_text()
            if not page.locator(".tour").get_by_role("button", name="next").count():
                break
            page.locator(".tour").get_by_role("button", name="next").click()
    page.locator(".tour").get_by_role("button", name="end").click()
    assert not page.locator(".tour").is_visible() and not page.locator("section.pointed").count()


def test_keys_are_heard_wherever_the_focus_is(open_page: Any) -> None:
    page = open_page("#width=16&particles=20")
    page.keyboard.press("t")
    expect(page.get_by_role("button", name="pause training")).to_be_visible()
    page.keyboard.press("t")
    page.keyboard.press("s")
    expect(page.locator(".particles .hint").first).to_contain_text("step 0")
    page.locator("[data-setting=seed]").press("p")
    assert page.locator(".particles").get_by_role("button", name="go on").is_visible()


def test_an_address_that_says_what_cannot_be_is_told_of_and_the_rest_is_taken(open_page: Any) -> None:
    page = open_page("#sigma=abc&mixture=[5]&data=rings&points=500")
    expect(page.locator(".status")).to_contain_text("sigma=abc, mixture=[5]")
    assert page.locator("[data-setting=data]").input_value() == '"rings"'
    assert page.locator("[data-setting=points]").input_value() == "500"


def test_shares_are_shown_of_what_has_modes_and_go_with_it(open_page: Any) -> None:
    page = open_page("#data=mixture&particles=20&langevin_steps=5&levels=3&per_level=1")
    start = page.locator(".particles").get_by_role("button", name="start", exact=True)
    start.click()
    # the shares, and how they came about, of two samplers
    expect(page.locator(".particles canvas.bars")).to_have_count(4)
    for data in ("swiss_roll", "mixture"):
        choose(page, "data", data)
        expect(page.locator(".particles canvas.bars")).to_have_count(0)
        start.click()
        expect(page.locator(".particles .hint").nth(1)).to_contain_text("at its end")
        expect(page.locator(".particles canvas.bars")).to_have_count(4 if data == "mixture" else 0)


def test_an_explanation_is_read_in_full_on_a_phone_and_closes(open_page: Any) -> None:
    page = open_page("#data=mixture", viewport={"width": 390, "height": 800})
    page.locator("[data-setting=measured]").check()
    for more in page.locator("details.more > summary").all():
        more.click()
    marks = page.locator(".why > summary:visible")
    assert marks.count() > 20
    for mark in marks.all():
        mark.click()
        told = page.locator(".why[open] > p")
        # it is moved once it is there
        page.wait_for_timeout(50)
        box = told.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 390, told.inner_text()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.keyboard.press("Escape")
        expect(told).to_have_count(0)


def test_each_control_says_what_it_does(open_page: Any) -> None:
    page = open_page()
    controls = page.locator("[data-setting]")
    assert controls.count() > 25
    assert page.locator(".control").count() == page.locator(".control .why").count()
    # none is written in vain
    sentences = re.findall(r'^  \w+: \["(.+?)",', (FILES / "explanations.js").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(sentences) > 25
    assert set(page.locator(".why > summary").evaluate_all("all => all.map(each => each.title)")) == set(sentences)
    # each input has a name that is read out
    unnamed = "inputs => inputs.filter(each => !each.labels?.length && !each.ariaLabel).map(each => each.outerHTML)"
    assert page.locator("input, select").evaluate_all(unnamed) == []
    mark = page.locator(".field .why > summary").first
    mark.focus()
    page.keyboard.press("Enter")
    with page.context.expect_page() as guide:
        page.locator(".field .why a").first.click()
    expect(guide.value.locator("h1")).to_be_visible()


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_is_wider_than_its_window_and_text_is_seen(open_page: Any, width: int, scheme: str) -> None:
    page = open_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page.locator("details.more > summary").first.click()
    page.locator("[data-setting=measured]").check()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    dark = page.evaluate("getComputedStyle(document.querySelector('.ncsn')).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", dark)[:3])) < 200) is (scheme == "dark")
    contrast = """elements => Math.min(...elements.map(each => {
        const light = colour => { const [r, g, b] = colour.match(/[\\d.]+/g).map(v => v / 255)
            .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
        const back = getComputedStyle(each.closest('section')).backgroundColor;
        const [a, b] = [light(getComputedStyle(each).color), light(back)].sort((x, y) => y - x);
        return (a + 0.05) / (b + 0.05);
    }))"""
    assert page.locator("section label, section h2, section .hint, section .told").evaluate_all(contrast) > 4.5


def test_reduced_motion_shows_fewer_pictures(open_page: Any) -> None:
    page = open_page("#particles=50", reduced_motion="reduce")
    drawn = """() => { window.count = 0;
        const fill = CanvasRenderingContext2D.prototype.fillRect;
        CanvasRenderingContext2D.prototype.fillRect = function (...all) {
            if (all[3] > 150 && this.canvas.closest('.particles')) window.count += 1; return fill.apply(this, all); }; }"""
    page.evaluate(drawn)
    page.locator(".particles").get_by_role("button", name="start", exact=True).click()
    page.wait_for_timeout(3000)
    # two pictures a second, of two samplers
    assert 0 < page.evaluate("window.count") <= 2 * 2 * 5


def test_a_widget_of_a_notebook_is_the_same_page(open_page: Any) -> None:
    page = open_page()
    # a kernel as anywidget has it, which answers over the server: with the question's number, as a view on bytes
    page.evaluate("""async () => {
        const widget = (await import("/studio.js")).default;
        const listeners = [];
        const model = {
            on: (name, hear) => listeners.push(hear),
            off: () => listeners.pop(),
            send: async ({ number, question }) => {
                const headers = { "Content-Type": "application/json", "X-Studio": "widget" };
                const answer = await fetch("/ask", { method: "POST", headers, body: JSON.stringify(question) });
                const bytes = new Uint8Array([7, ...new Uint8Array(await answer.arrayBuffer())]);
                listeners.forEach(hear => hear({ number }, [new DataView(bytes.buffer, 1)]));
            },
        };
        const el = document.createElement("div");
        el.id = "cell";
        document.body.replaceChildren(el);
        document.body.dataset.jpThemeLight = "false";
        window.close = widget.render({ model, el });
    }""")
    expect(page.locator("#cell .told")).to_contain_text("33,635 weights")
    assert not page.get_by_role("button", name="copy link").count()
    assert page.locator("#cell .ncsn").evaluate("each => each.classList.contains('dark')")
    page.evaluate("document.body.dataset.jpThemeLight = 'true'")
    expect(page.locator("#cell .ncsn")).not_to_have_class(re.compile("dark"))
    page.get_by_role("button", name="one step").first.click()
    expect(page.locator("#cell .told")).to_contain_text("step 1 of")
    # there is no page to open, so the guide is read in the notebook
    page.locator(".field .why > summary").first.click()
    page.locator(".field .why").get_by_role("button", name="guide").first.click()
    expect(page.locator("dialog h1")).to_have_text("Why noise at many levels")
    expect(page.locator("dialog math").first).to_be_visible()
    page.locator("dialog a[href^=settings]").first.click()
    expect(page.locator("dialog h1")).to_have_text("Choosing settings")


def test_the_exact_score_without_python_is_the_librarys(open_page: Any) -> None:
    page = open_page()
    mixture = [[0.2, -1.0, 0.5, 0.4], [0.6, 1.0, -0.5, 0.2]]
    got = page.evaluate(
        """async mixture => {
            const files = (await import("/studio.js")).overFiles("none/");
            files.extent = 3;
            const source = files.made({ data: "mixture", mixture, points: 4000, seed: 0 });
            const field = files.madeField(source, { sigma: 0.3 }, 7);
            const samplers = ["ddim", "annealed_langevin", "ancestral"];
            const settings = { samplers, levels: 40, per_level: 10, step: 0.2, seed: 1 };
            const ends = {};
            for (let k = 0; k < 20; k += 1) {
                const [head, arrays] = [{}, {}];
                files.walk({ steps: 50 }, head, arrays, null, source, settings);
                for (const { name, steps, evaluations } of head.walks) {
                    if (!steps.length) continue;
                    const size = arrays[`walk:${name}`].length / steps.length;
                    ends[name] = { x: Array.from(arrays[`walk:${name}`].slice(-size)), evaluations: evaluations.at(-1) };
                }
            }
            return { ends, points: Array.from(source.points), truth: Array.from(source.truth),
                     exact: Array.from(field.exact), density: Array.from(field.density) };
        }""",
        mixture,
    )
    exact = GaussianMixtureScore([0.2, 0.6], [[-1.0, 0.5], [1.0, -0.5]], torch.tensor([0.16, 0.04]))
    axis = torch.linspace(-3, 3, 7)
    x = torch.cartesian_prod(axis, axis).flip(1)
    score, density = exact(x, torch.tensor(0.3)), exact.log_density(x, torch.tensor(0.3))
    np.testing.assert_allclose(np.reshape(got["exact"], (-1, 2)), score, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(got["density"], density, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(got["truth"], [0.25, 0.75], rtol=1e-6)
    points = np.reshape(got["points"], (-1, 2))
    right = points[:, 0] > points[:, 1]
    # four standard errors of the share, the mean and the deviation
    assert abs(right.mean() - 0.75) < 0.03
    np.testing.assert_allclose(points[right].mean(0), [1, -0.5], atol=0.02)
    np.testing.assert_allclose(points[right].std(0), 0.2, atol=0.012)
    counted = {name: end["evaluations"] for name, end in got["ends"].items()}
    assert counted == {"ddim": 40, "annealed_langevin": 401, "ancestral": 40}
    for name, end in got["ends"].items():
        ended = np.reshape(end["x"], (-1, 2))
        over = ended[:, 0] > ended[:, 1]
        assert abs(over.mean() - 0.75) < 0.15, name
        np.testing.assert_allclose(ended[over].mean(0), [1, -0.5], atol=0.08, err_msg=name)
        np.testing.assert_allclose(ended[over].std(0), 0.2, atol=0.06, err_msg=name)


@pytest.fixture
def site(site_folder: Path) -> Iterator[str]:
    """Serve the page of the site by a server that knows nothing but files."""
    port = free_port()
    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "-d", str(site_folder), str(port)]
    with served(command, port) as address:
        yield address


def test_the_site_shows_what_was_recorded_and_computes_what_is_drawn(open_page: Any, site: str) -> None:
    page = open_page("studio.html", address=site)
    expect(page.locator(".field figcaption")).to_have_text(["exact score", "learned", "error"])
    assert not page.locator(".training").is_visible() and not page.get_by_role("button", name="copy as Python").count()
    choose(page, "data", "rings")
    # the page around has uses of its own for keys
    page.evaluate("window.addEventListener('keydown', event => { window.heard = event.key; })")
    page.locator(".data canvas").press("p")
    expect(page.locator(".particles .hint").nth(1)).to_contain_text("19 evaluations, at its end")
    assert page.evaluate("window.heard") is None
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("s")
    assert page.evaluate("window.heard") is None
    expect(page).to_have_url(re.compile("#data=rings$"))
    # 20 steps of plain Langevin dynamics
    expect(page.locator(".particles .hint").first).to_contain_text("step 20,")
    expect(page.locator(".particles canvas.bars").first).to_have_attribute("aria-label", re.compile("truth 25%"))
    before = inked(page, ".field canvas")
    page.locator("[data-setting=sigma]").press("Home")
    wait_for_change(page, ".field canvas", before)
    choose(page, "data", "drawing")
    expect(page.locator(".status")).to_contain_text("draw something first")
    box = page.locator(".data canvas").bounding_box()
    page.mouse.move(box["x"] + 50, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 250, box["y"] + 150, steps=10)
    page.mouse.up()
    expect(page.locator(".status")).to_have_text("")
    expect(page.locator(".field figcaption")).to_have_text(["exact score"])
    page.locator(".particles").get_by_role("button", name="start", exact=True).click()
    expect(page.locator(".particles .hint").nth(1)).to_contain_text("at its end")
    assert inked(page, ".particles canvas") > 100
    again = open_page(address_of(page), address=site)
    assert inked(again, ".data canvas") == inked(page, ".data canvas")


def test_on_the_first_page_there_is_sigma_to_drag(open_page: Any, site: str) -> None:
    page = open_page(address=site, viewport={"width": 390, "height": 800})
    expect(page.locator(".field figcaption")).to_have_text(["exact score", "learned", "error"])
    assert page.locator("section:visible").count() == 1 and not page.locator("header").is_visible()
    before = inked(page, ".field canvas")
    page.locator("[data-setting=sigma]").press("Home")
    wait_for_change(page, ".field canvas", before)
    assert not address_of(page) and page.evaluate("document.documentElement.scrollWidth") <= 390

"""The page at /ui in headless Chromium, which can reach nothing but the server: plots, model, form."""

import concurrent.futures
import json
import pathlib
import re
import shutil
import urllib.parse

import numpy as np
import pytest
from onnxd_server import EXAMPLES, build_dir, wait_for

pytestmark = [pytest.mark.chromium, pytest.mark.timeout(300)]

selenium = pytest.importorskip("selenium")
from selenium import webdriver  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import Select  # noqa: E402

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--disable-dev-shm-usage", "--window-size=1280,1800", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1")
DEADLINE_S = 120
IRIS = EXAMPLES / "iris_logistic_regression"
ON = {"UI_ENABLED": "true"}
ALWAYS = {"requests", "latency", "batch", "in-flight", "rejections", "cpu", "memory"}


@pytest.fixture
def open_browser(tmp_path):
    drivers = []

    def begin(**emulation):
        options = webdriver.ChromeOptions()
        for flag in FLAGS:
            options.add_argument(flag)
        options.add_argument(f"--user-data-dir={tmp_path}/chromium{len(drivers)}")
        options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
        if emulation:
            options.add_experimental_option("mobileEmulation", {"deviceMetrics": emulation})
        driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=shutil.which("chromedriver")))
        drivers.append(driver)
        driver.set_page_load_timeout(DEADLINE_S)
        return driver

    yield begin
    for driver in drivers:
        driver.quit()


@pytest.fixture
def server(servers):
    return servers(IRIS, env=ON)


def by_id(browser, name):
    return browser.find_element(By.ID, name)


def text_of(browser, name):
    """Also where a refresh replaces what it says meanwhile."""
    return browser.execute_script("return document.getElementById(arguments[0]).innerText", name)


def open_page(browser, server):
    browser.get(server.url("/ui"))
    wait_for(lambda: text_of(browser, "state") in ("Ready", "Not ready"), "the state of the service", DEADLINE_S)
    wait_for(lambda: by_id(browser, "model").is_displayed(), "the model", DEADLINE_S)


def put_load_on(server, requests=200):
    def ask(number):
        return server.invoke("[[1,2]]" if number % 10 == 0 else "[[5.1,3.5,1.4,0.2],[6.0,2.9,4.5,1.5]]").status_code

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert set(pool.map(ask, range(requests))) == {200, 400}


def points(browser, plot):
    return int(browser.execute_script(f"return document.querySelector('#plot-{plot} svg').dataset.points || 0"))


def shown_plots(browser):
    return {figure.get_attribute("id").removeprefix("plot-")
            for figure in browser.find_elements(By.CSS_SELECTOR, "figure") if figure.is_displayed()}


def values(browser, plot):
    """What the legend of a plot says, by series."""
    return dict(browser.execute_script(f"""return [...document.querySelectorAll('#plot-{plot} .legend li')]
        .filter((item) => !item.hidden).map((item) => [item.firstChild.textContent.trim(), item.querySelector('b').textContent])"""))


def most(browser, plot, series):
    """The largest value of a series, in the unit of the metrics, that the page has seen."""
    return browser.execute_script(f"return Math.max(...samples.map((sample) => sample.values['{plot}'][{series}] || 0))")


def send(browser):
    """Presses Send; the status that is shown."""
    browser.execute_script("document.getElementById('answer').hidden = true")
    by_id(browser, "send").click()
    wait_for(lambda: by_id(browser, "answer").is_displayed(), "an answer on the page", DEADLINE_S)
    return text_of(browser, "status")


def write_body(browser, body):
    by_id(browser, "body").clear()
    by_id(browser, "body").send_keys(body)


def expect_silent_console(browser):
    assert [entry["message"] for entry in browser.get_log("browser")] == []


def test_draws_what_happens(open_browser, server):
    browser = open_browser()
    open_page(browser, server)
    wait_for(lambda: points(browser, "requests") > 0, "a first point", DEADLINE_S)
    put_load_on(server)
    wait_for(lambda: most(browser, "requests", 0) > 0 and most(browser, "requests", 1) > 0, "the load in the plot", DEADLINE_S)
    assert most(browser, "requests", 2) == 0
    assert most(browser, "batch", 0) >= 2, "rows of a run"
    assert most(browser, "batch", 1) >= 1, "jobs of a run"
    assert most(browser, "memory", 0) > 1 << 20
    median, high, highest = (most(browser, "latency", i) for i in range(3))
    assert 0 < median <= high <= highest
    assert ALWAYS <= shown_plots(browser)
    assert "workers" not in shown_plots(browser), "there is no metric of workers"
    for plot in ALWAYS - {"latency", "batch"}:
        before = points(browser, plot)
        assert before > 0, plot
        wait_for(lambda: points(browser, plot) > before, f"more points of {plot}", DEADLINE_S)
    assert set(values(browser, "latency")) == {"p50", "p90", "p99"}
    assert values(browser, "memory")["onnxd"].endswith("iB")
    detail = browser.find_element(By.CSS_SELECTOR, "#plot-memory .detail").text
    assert re.fullmatch(r"[\d.]+ .iB for the model", detail), detail
    expect_silent_console(browser)


def test_numbers_of_a_moment_and_a_pause(open_browser, server):
    browser = open_browser()
    open_page(browser, server)
    wait_for(lambda: points(browser, "cpu") > 1, "points", DEADLINE_S)
    by_id(browser, "moment").send_keys(Keys.ARROW_LEFT)
    wait_for(lambda: "ago" in text_of(browser, "moment-text"), "the moment in words", DEADLINE_S)
    assert browser.find_elements(By.CSS_SELECTOR, "#plot-cpu .cursor")
    by_id(browser, "moment").send_keys(Keys.END)
    wait_for(lambda: text_of(browser, "moment-text") == "now", "the newest again", DEADLINE_S)
    by_id(browser, "pause").click()
    assert by_id(browser, "pause").get_attribute("aria-pressed") == "true"
    asked = browser.execute_script("return performance.getEntriesByType('resource').length")
    browser.execute_async_script("setTimeout(arguments[0], 2500)")
    assert browser.execute_script("return performance.getEntriesByType('resource').length") <= asked + 1
    by_id(browser, "pause").click()
    before = points(browser, "cpu")
    wait_for(lambda: points(browser, "cpu") > before, "points after the pause", DEADLINE_S)


def test_shows_the_model(open_browser, server):
    browser = open_browser()
    open_page(browser, server)
    assert text_of(browser, "name") == "iris_logistic_regression"
    assert "version 1" in text_of(browser, "version")
    said = by_id(browser, "model").text
    for part in ("Which iris a flower is", "float32[?, 4]", "int64[?]", "sepal_length", "petal_width", "cm", "versicolor",
                 "sequence(map(int64, float32))", "requests share a run, up to 256 rows", "auto: now on"):
        assert part in said, part
    expect_silent_console(browser)


def test_sends_the_example(open_browser, server):
    browser = open_browser()
    open_page(browser, server)
    assert "the manifest's example" in text_of(browser, "origin")
    assert send(browser) == "200 OK"
    assert json.loads(text_of(browser, "answer-body")) == [0, 1, 2]
    assert "ms" in text_of(browser, "took") or "s" in text_of(browser, "took")
    fields = text_of(browser, "fields")
    assert "application/json" in fields and "x-request-id" in fields
    Select(by_id(browser, "content-type")).select_by_visible_text("text/csv")
    Select(by_id(browser, "accept")).select_by_visible_text("text/csv")
    assert "sepal_length" in by_id(browser, "body").get_property("value")
    assert send(browser) == "200 OK"
    assert "text/csv" in text_of(browser, "fields")
    assert "curl" in browser.execute_script("return document.getElementById('curl').textContent")
    expect_silent_console(browser)


def test_a_refresh_leaves_the_choices_alone(open_browser, server):
    browser = open_browser()
    open_page(browser, server)
    options = browser.find_elements(By.CSS_SELECTOR, "#content-type option, #accept option")
    assert len(options) > 4
    browser.execute_script("showChoices(service.model)")
    assert all(option.is_enabled() for option in options)  # a replaced one is stale


def test_sends_with_the_keyboard_and_keeps_a_written_body(open_browser, server):
    browser = open_browser()
    open_page(browser, server)
    write_body(browser, "[[6.3, 3.3, 6.0, 2.5]]")
    Select(by_id(browser, "content-type")).select_by_visible_text("application/jsonlines")
    assert by_id(browser, "body").get_property("value") == "[[6.3, 3.3, 6.0, 2.5]]"
    Select(by_id(browser, "content-type")).select_by_visible_text("application/json")
    by_id(browser, "body").send_keys(Keys.CONTROL, Keys.ENTER)
    wait_for(lambda: text_of(browser, "answer-body").strip() == "[2]", "the answer", DEADLINE_S)
    by_id(browser, "reset").click()
    assert "instances" in by_id(browser, "body").get_property("value")


def test_says_plainly_what_is_wrong(open_browser, server):
    browser = open_browser()
    open_page(browser, server)
    write_body(browser, "[[1, 2, 3, 4], [1, 2]]")
    assert send(browser) == "400 Bad Request"
    assert text_of(browser, "failure") == server.invoke("[[1, 2, 3, 4], [1, 2]]").json()["error"]


def test_takes_a_file_and_gives_an_array(open_browser, server, tmp_path):
    path = tmp_path / "rows.npy"
    np.save(path, np.array([[5.1, 3.5, 1.4, 0.2]] * 3, dtype=np.float32))
    browser = open_browser()
    open_page(browser, server)
    Select(by_id(browser, "content-type")).select_by_visible_text("application/x-npy")
    Select(by_id(browser, "accept")).select_by_visible_text("application/x-npy")
    by_id(browser, "file").send_keys(str(path))
    assert send(browser) == "200 OK"
    assert "'shape': (3,)" in text_of(browser, "answer-body")


def test_keeps_the_text_of_numbers(open_browser, server):
    """What a parser of numbers would lose: a float's point, digits of an int64, literals."""
    browser = open_browser()
    open_page(browser, server)
    pretty = browser.execute_script("return prettyJson(arguments[0], 32)",
                                    '[[6.0,9007199254740993],[NaN,-Infinity],{"a\\"b":"c, d"},[]]')
    assert pretty.split("\n") == ["[", "  [6.0, 9007199254740993],", "  [NaN, -Infinity],", '  {"a\\"b": "c, d"},', "  []", "]"]
    for broken in ("", "[", "[1,,2]", '{"a" 1}', "{]", "[1] 2", '"', "[1,]", "[,]", "[1 2]"):
        assert browser.execute_script("return prettyJson(arguments[0], 20)", broken) == broken


def test_adds_labels_up_and_hides_what_is_missing(open_browser, server):
    """Metrics may get labels, and come or go, without the page knowing."""
    browser = open_browser()
    open_page(browser, server)
    before = "# TYPE h histogram\n# TYPE c counter\n" + "".join(
        f'h_bucket{{model="{model}",le="{bound}"}} 0\n' for model in "ab" for bound in ("0.001", "0.01", "+Inf"))
    after = ('# TYPE h histogram\n# TYPE c counter\nc{x="}\\"{ "} 3\nc{x="b"} 4e1\n'
             'h_bucket{model="a",le="0.001"} 5\nh_bucket{model="a",le="0.01"} 5\nh_bucket{model="a",le="+Inf"} 5\n'
             'h_bucket{model="b",le="0.001"} 0\nh_bucket{model="b",le="0.01"} 5\nh_bucket{model="b",le="+Inf"} 5\n')
    result = browser.execute_script("""
        const change = new Change(new Scrape(arguments[0], 10), new Scrape(arguments[1], 12));
        const histogram = change.histogram(['h']);
        return { rate: change.rate('c'), gone: change.rate('nothing') === undefined, back: new Change(change.after, change.before).rate('c'),
          label: change.rate('c', (labels) => labels.x === '}"{ '),
          median: quantile(histogram, 0.5), high: quantile(histogram, 0.9), none: quantile(change.histogram(['nothing']), 0.5) };""",
                                    before, after)
    assert result == {"rate": 21.5, "gone": True, "back": None, "label": 1.5, "median": 0.001,
                      "high": pytest.approx(0.0082), "none": None}


def test_without_metrics(open_browser, servers):
    browser = open_browser()
    open_page(browser, servers(IRIS, env={**ON, "PROMETHEUS_ENABLED": "false"}))
    wait_for(lambda: "Metrics are off" in text_of(browser, "notice"), "a word on the metrics", DEADLINE_S)
    assert text_of(browser, "state") == "Ready"
    assert shown_plots(browser) == set() and not by_id(browser, "tools").is_displayed()
    assert send(browser) == "200 OK"
    expect_silent_console(browser)


def test_metrics_elsewhere(open_browser, servers):
    browser = open_browser()
    open_page(browser, servers(IRIS, env={**ON, "PROMETHEUS_PATH": "/somewhere/else"}))
    wait_for(lambda: points(browser, "cpu") > 0, "a point", DEADLINE_S)
    expect_silent_console(browser)


def test_says_when_nobody_answers(open_browser, start):
    server = start(IRIS, env=ON)
    browser = open_browser()
    open_page(browser, server)
    server.stop()
    wait_for(lambda: text_of(browser, "state") == "No answer", "the state", DEADLINE_S)
    assert "does not answer" in text_of(browser, "notice")
    assert send(browser) == "No answer"
    assert "before an answer came" in text_of(browser, "failure")


@pytest.mark.parametrize("width", [320, 360, 768])
def test_fits_a_small_screen(open_browser, server, width):
    browser = open_browser(width=width, height=780, pixelRatio=2.0, touch=True)
    open_page(browser, server)
    wait_for(lambda: points(browser, "cpu") > 0, "a point", DEADLINE_S)
    assert send(browser) == "200 OK"
    browser.execute_script("document.getElementById('curl-details').open = true")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    outside = browser.execute_script("""return [...document.querySelectorAll('main *, header *')]
        .filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('pre, svg')).map((e) => e.outerHTML)""")
    assert outside == []
    overlaps = browser.execute_script("""
        const found = [];
        for (const svg of document.querySelectorAll('figure:not([hidden]) svg')) {
          const boxes = [...svg.querySelectorAll('text')].map((text) => text.getBoundingClientRect());
          boxes.forEach((a, i) => boxes.slice(i + 1).forEach((b) => {
            if (a.left < b.right && b.left < a.right && a.top + 2 < b.bottom && b.top + 2 < a.bottom) found.push(svg.ariaLabel);
          }));
        }
        return found;""")
    assert overlaps == []


def test_names_everything_for_a_screen_reader(open_browser, server):
    browser = open_browser()
    open_page(browser, server)
    wait_for(lambda: points(browser, "cpu") > 0, "a point", DEADLINE_S)
    nameless = browser.execute_script("""return [...document.querySelectorAll('input, select, textarea, button, svg, pre, nav, a')]
        .filter((e) => !(e.ariaLabel || e.textContent.trim() || (e.labels && e.labels.length))).map((e) => e.outerHTML)""")
    assert [html for html in nameless if 'id="answer-body"' not in html] == []
    label = browser.find_element(By.CSS_SELECTOR, "#plot-memory svg").get_attribute("aria-label")
    assert "Memory" in label and "iB" in label
    assert browser.execute_script("return document.querySelectorAll('h1').length") == 1
    assert browser.execute_script("return document.documentElement.lang") == "en"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_can_be_read_in_both_schemes(open_browser, server, scheme):
    """Every text has a contrast of 4.5 to what is behind it (WCAG 2.1, 1.4.3)."""
    browser = open_browser()
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
    open_page(browser, server)
    wait_for(lambda: points(browser, "cpu") > 0, "a point", DEADLINE_S)
    assert send(browser) == "200 OK"
    worst = browser.execute_script("""
        const light = (color) => {
          const [r, g, b] = color.match(/[\\d.]+/g).slice(0, 3).map((c) => c / 255).map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
          return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const behind = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (!/, 0\\)$/.test(c)) return c; } };
        return [...document.querySelectorAll('body *')].filter((e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) && e.getClientRects().length)
          .map((e) => { const style = getComputedStyle(e); const a = light(e.closest('svg') ? style.fill : style.color); const b = light(behind(e));
            return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.outerHTML.slice(0, 120)]; }).sort((a, b) => a[0] - b[0])[0];""")
    assert worst[0] >= 4.5, worst
    assert browser.save_screenshot(str(pathlib.Path(build_dir()) / f"ui-page-{scheme}.png"))


def test_talks_to_nobody_else(open_browser, server):
    browser = open_browser()
    open_page(browser, server)
    wait_for(lambda: points(browser, "cpu") > 0, "a point", DEADLINE_S)
    send(browser)
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = {urllib.parse.urlsplit(message["params"]["request"]["url"]) for message in messages
             if message["method"] == "Network.requestWillBeSent"}
    asked = {address for address in asked if address.scheme not in ("data", "chrome", "about")}
    assert {address.netloc for address in asked} == {f"127.0.0.1:{server.port}"}
    assert {address.path for address in asked} == {"/ui", "/ui/model.json", "/metrics", "/invocations"}

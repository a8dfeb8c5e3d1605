"""The /docs page in headless Chromium: it renders, "Try it out" works, nothing leaves the machine."""

import json
import pathlib
import shutil
import urllib.parse

import pytest
from onnxd_server import EXAMPLES, build_dir, wait_for

pytestmark = [pytest.mark.chromium, pytest.mark.timeout(300)]

selenium = pytest.importorskip("selenium")
from selenium import webdriver  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.ui import Select  # noqa: E402

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--disable-dev-shm-usage", "--window-size=1280,1800")
DEADLINE_S = 120


@pytest.fixture
def browser(tmp_path):
    options = webdriver.ChromeOptions()
    for flag in FLAGS:
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={tmp_path}/chromium")
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    driver.set_page_load_timeout(DEADLINE_S)
    yield driver
    driver.quit()


@pytest.fixture
def server(servers):
    return servers(EXAMPLES / "iris_logistic_regression", env={"SWAGGER_ENABLED": "true"})


def elements(browser, selector):
    return browser.find_elements(By.CSS_SELECTOR, selector)


def wait_for_element(browser, selector):
    return wait_for(lambda: elements(browser, selector), selector, DEADLINE_S)[0]


def open_page(browser, server):
    browser.get(server.url("/docs"))
    wait_for_element(browser, ".opblock-summary")


def find_within(block, selector):
    """What there is of it, once there is any: the page draws an operation bit by bit."""
    return wait_for(lambda: block.find_elements(By.CSS_SELECTOR, selector), selector, DEADLINE_S)


def open_operation(browser, path):
    for block in elements(browser, ".opblock"):
        if block.find_element(By.CSS_SELECTOR, ".opblock-summary-path").get_attribute("data-path") == path:
            browser.execute_script("arguments[0].scrollIntoView()", block)
            block.find_element(By.CSS_SELECTOR, ".opblock-summary-control").click()
            find_within(block, ".opblock-body")
            return block
    raise AssertionError(f"{path} is not on the page")


def execute(block):
    """Presses "Try it out", then "Execute"; returns the status the page shows."""
    for selector in (".try-out__btn", ".execute"):
        find_within(block, selector)[0].click()
    return find_within(block, ".live-responses-table .response-col_status")[-1].text.split()[0]


def requested_addresses(browser):
    """Every address the browser asked for, or tried to, so far."""
    addresses = set()
    for entry in browser.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            addresses.add(message["params"]["request"]["url"])
        elif message["method"] == "Network.webSocketCreated":
            addresses.add(message["params"]["url"])
    return addresses


def test_lists_every_operation(browser, server):
    open_page(browser, server)
    shown = {span.get_attribute("data-path") for span in elements(browser, ".opblock-summary-path")}
    assert shown == {"/invocations", "/live", "/healthz", "/ready", "/readyz", "/ping", "/metrics",
                     "/openapi.yaml", "/docs"}
    assert "onnxd" in wait_for_element(browser, ".info .title").text
    assert not elements(browser, ".errors-wrapper"), "the page shows errors in the document"
    screenshot = pathlib.Path(build_dir()) / "docs-page.png"
    assert browser.save_screenshot(str(screenshot))


def test_executes_the_models_own_example(browser, server):
    open_page(browser, server)
    block = open_operation(browser, "/invocations")
    assert "float32[N, 4]" in block.text or "float32[?, 4]" in block.text, block.text
    assert execute(block) == "200"
    sent = find_within(block, ".body-param textarea, .body-param__text")[0].text
    rows = json.loads(sent)
    rows = rows["instances"] if isinstance(rows, dict) else rows
    assert [len(row) for row in rows] == [4] * len(rows) and rows
    assert browser.save_screenshot(str(pathlib.Path(build_dir()) / "docs-page-executed.png"))


def test_executes_csv(browser, server):
    open_page(browser, server)
    block = open_operation(browser, "/invocations")
    selector = find_within(block, ".opblock-section-request-body .content-type")[0]
    Select(selector).select_by_visible_text("text/csv")
    assert execute(block) == "200"


def test_executes_readiness(browser, server):
    open_page(browser, server)
    assert execute(open_operation(browser, "/ready")) == "200"


def test_talks_to_nobody_else(browser, server):
    open_page(browser, server)
    execute(open_operation(browser, "/invocations"))
    addresses = {urllib.parse.urlsplit(address) for address in requested_addresses(browser)}
    outside = {address.geturl() for address in addresses
               if address.scheme not in ("data", "blob", "chrome", "about")
               and address.netloc != f"127.0.0.1:{server.port}"}
    assert not outside
    paths = {address.path for address in addresses}
    assert {"/docs", "/openapi.yaml", "/invocations", "/docs/swagger-ui-bundle.js"} <= paths


def test_breaks_no_rule_of_its_policy(browser, server):
    """The console is silent: nothing was blocked by the Content-Security-Policy, no script failed."""
    open_page(browser, server)
    execute(open_operation(browser, "/invocations"))
    severe = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert not severe

"""A headless Chromium for the tests of pages: texts, errors, what is cut off or faint."""

import contextlib
import json
import shutil
import time

import pytest

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync
--disable-background-networking --disable-component-update"""


@contextlib.contextmanager
def browser(profile):
    """Yield a browser with a folder of its own; skip the test where none is installed."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    if not BROWSER or not DRIVER:
        pytest.skip("chromium and chromedriver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in (*FLAGS.split(), f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    try:
        driver.set_page_load_timeout(30)
        driver.set_script_timeout(30)
        yield driver
    finally:
        driver.quit()


def opened(driver, url, *, width=1280, height=900, scheme="light"):
    """Load a page on a screen of that size; return the browser."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    driver.get("about:blank")
    for log in ("performance", "browser"):
        driver.get_log(log)
    driver.get(url)
    return driver


def one(driver, selector):
    return driver.find_element("css selector", selector)


def until(driver, script, wanted):
    """Wait until a script returns a value; return what it returns."""
    for _ in range(200):
        found = driver.execute_script(script)
        if found == wanted:
            break
        time.sleep(0.05)
    return found


def texts(driver, selector):
    """Return the visible texts of elements, in one call, which is faster than one by one."""
    return driver.execute_script(
        "return [...document.querySelectorAll(arguments[0])]"
        ".filter((e) => e.checkVisibility()).map((e) => e.innerText)",
        selector,
    )


def assert_no_errors(driver, own="file:"):
    """Check that the console has no error, and that nothing was requested from elsewhere."""
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    requested = [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]
    assert driver.get_log("browser") == []
    assert [url for url in requested if not url.startswith((own, "data:"))] == []


# Texts that are wider than their box or outside of the window, unless they may scroll.
CUT_OFF = """
const width = document.documentElement.clientWidth;
const found = [];
if (document.documentElement.scrollWidth > width) found.push('the page scrolls sideways');
for (const element of document.querySelectorAll('body *')) {
  const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
  if (!own || element.closest('.scroll, .spoken, .skip, svg, script, style, option')) continue;
  if (!element.checkVisibility()) continue;
  const box = element.getBoundingClientRect();
  const tooWide = element.clientWidth > 0 && element.scrollWidth > element.clientWidth + 1;
  if (tooWide || box.left < -0.5 || box.right > width + 0.5) {
    found.push(`${element.tagName}.${element.className}: ${element.textContent.slice(0, 40)}`);
  }
}
return found;
"""

# Visible texts whose contrast is less than 4.5.
FAINT = """
const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
function channels(color) {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = color;
  canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data];
}
function luminance(rgb) {
  const linear = (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  const [r, g, b] = rgb.map((c) => linear(c / 255));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function ground(element) {
  const layers = [];
  for (let e = element; e; e = e.parentElement) {
    layers.push(channels(getComputedStyle(e).backgroundColor));
  }
  return layers.reverse().reduce((under, [r, g, b, a]) =>
    [r, g, b].map((c, at) => c * a / 255 + under[at] * (1 - a / 255)), [255, 255, 255]);
}
const seen = new Map();
for (const element of document.querySelectorAll('body *')) {
  const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
  if (!own || element.closest('script, style, title, desc') || !element.checkVisibility()) continue;
  const style = getComputedStyle(element);
  const color = element.closest('svg') ? style.fill : style.color;
  const key = `${element.tagName} ${element.getAttribute('class')} ${color}`;
  if (seen.has(key)) continue;
  const text = luminance(channels(color));
  const behind = luminance(ground(element));
  seen.set(key, (Math.max(text, behind) + 0.05) / (Math.min(text, behind) + 0.05));
}
return [...seen].filter(([, contrast]) => contrast < 4.5);
"""

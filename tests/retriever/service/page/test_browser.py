"""The pages of the service in a real browser: typed in, filtered, judged, on every screen."""

import pytest

from retriever.formats import read_qrels
from tests.support.services.browser import (
    CUT_OFF,
    FAINT,
    assert_no_errors,
    browser,
    one,
    opened,
    texts,
    until,
)
from tests.support.services.clients import app_of, listening
from tests.support.services.page_library import HOSTILE, LONG, NAME, make_page_library

PAGES = (
    "/",
    "/page/search?q=kitten+car+engine&i=glove&i=floor&i=words&k=20&where=topic+exists",
    "/page/map?a=glove&b=floor&q=kitten&color=topic",
    f"/page/document?q=kitten&id={LONG}",
    "/page/word?w=cat",
    "/page/judgments",
    "/page/none",
)


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("profile")) as opened_browser:
        opened_browser.implicitly_wait(10)
        yield opened_browser


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    return tmp_path_factory.mktemp("judgments")


@pytest.fixture(scope="module")
def site(driver, labels, tmp_path_factory):
    """The address of a service over one library."""
    library = make_page_library(tmp_path_factory.mktemp("library"))
    with listening(app_of(library, judgments=labels)) as (_, port):
        yield f"http://127.0.0.1:{port}"


def pressed(driver, doc_id):
    return driver.execute_script(
        "return [...document.querySelectorAll('.hit')]"
        ".filter((e) => e.dataset.doc === arguments[0])"
        ".map((e) => [...e.querySelectorAll('.judge [aria-pressed=true]')].map((b) => b.innerText)"
        ".join())",
        doc_id,
    )


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (900, "dark"), (1400, "light")])
def test_every_page_fits_and_can_be_read(driver, site, width, scheme):
    for path in PAGES:
        opened(driver, site + path, width=width, scheme=scheme)
        assert driver.execute_script(CUT_OFF) == [], path
        assert driver.execute_script(FAINT) == [], path
        missing = [entry for entry in driver.get_log("browser") if "404" not in entry["message"]
                   and "422" not in entry["message"]]  # fmt: skip
        assert missing == [], path


def test_texts_that_look_like_scripts_are_texts(driver, site):
    opened(driver, f"{site}/page/search?i=glove&i=floor&i=words&k=20&q=kitten {HOSTILE}")
    assert HOSTILE in texts(driver, ".hit .title")
    assert HOSTILE in texts(driver, ".hit .metadata b")
    assert texts(driver, ".top .brand") == [f"Retriever {NAME}"]
    assert one(driver, "#q").get_attribute("value") == f"kitten {HOSTILE}"
    images = driver.execute_script(
        "return [...document.images].map((e) => [e.alt, e.naturalWidth, e.src.slice(0, 11)])"
    )
    assert {tuple(image) for image in images} == {("a kitten in a photo", 96, "data:image/")}
    assert_no_errors(driver, site)


def test_hits_change_while_typing_and_the_address_with_them(driver, site):
    opened(driver, f"{site}/page/search?i=words")
    one(driver, "#q").send_keys("engine")
    one(driver, ".hit[data-doc=car]")
    assert (
        until(driver, "return new URLSearchParams(location.search).get('q')", "engine") == "engine"
    )
    assert texts(driver, "mark")[:1] == ["engine"]
    one(driver, "#q").clear()
    one(driver, "#q").send_keys("zzqx")
    assert "No hits." in until(driver, "return document.querySelector('#results .column .remark')"
                               " ?.innerText", "No hits.")  # fmt: skip
    assert_no_errors(driver, site)


def test_filters_narrow_the_hits_and_a_mistake_is_said(driver, site):
    opened(driver, f"{site}/page/search?i=words&q=cat+car")
    count = "return document.querySelectorAll('.hit').length"
    assert driver.execute_script(count) == 3
    one(driver, ".filter summary").click()
    one(driver, "[name='from.year']").send_keys("2021")
    assert until(driver, count, 2) == 2
    box = one(driver, "[name=where]")
    box.send_keys("topic = cars")
    assert until(driver, count, 1) == 1
    box.send_keys(" and")
    assert "expected a field" in one(driver, "#results .problem").text
    assert_no_errors(driver, site)


def test_hits_are_judged_by_click_and_by_key(driver, site, labels):
    from selenium.webdriver.common.keys import Keys

    opened(driver, f"{site}/page/search?i=glove&i=words&q=purrs")
    one(driver, ".hit[data-doc=cat] [data-grade='1']").click()
    # In the columns of both indexes; a bar beside a hit does not move it.
    left = "[...document.querySelectorAll('.column:first-child .rank')].map((e) => e.offsetLeft)"
    assert len(set(driver.execute_script(f"return {left}"))) == 1
    script = "return document.querySelectorAll('.hit.relevant').length"
    assert until(driver, script, 2) == 2
    assert pressed(driver, "cat") == ["Relevant"] * 2
    one(driver, "#q").send_keys(Keys.ARROW_DOWN)
    driver.switch_to.active_element.send_keys("n")
    script = "return document.querySelectorAll('[data-grade=\"0\"][aria-pressed=true]').length"
    assert until(driver, script, 2) == 2
    assert read_qrels(labels / f"{NAME}.csv") == {"q1": {"cat": 0}}
    driver.switch_to.active_element.send_keys("n")
    assert until(driver, script, 0) == 0
    driver.switch_to.active_element.send_keys(Keys.ARROW_RIGHT, "u")
    script = "return document.querySelectorAll('[data-grade=unsure][aria-pressed=true]').length"
    assert until(driver, script, 2) == 2
    assert_no_errors(driver, site)


def test_a_document_is_shown_in_both_maps_by_the_arrow_keys(driver, site):
    from selenium.webdriver.common.keys import Keys

    opened(driver, f"{site}/page/map?a=glove&b=floor")
    one(driver, "svg.map").send_keys(Keys.ARROW_RIGHT)
    first = one(driver, "#said a").text
    cursors = "[...document.querySelectorAll('.cursor')]"
    shown = f"return {cursors}.filter((e) => e.cx.baseVal.value > 0).length"
    assert driver.execute_script(shown) == 2
    for key in (Keys.ARROW_LEFT, Keys.ARROW_RIGHT, Keys.ARROW_UP, Keys.ARROW_DOWN):
        one(driver, "svg.map").send_keys(key)
    assert first
    assert "/page/document?" in one(driver, "#said a").get_attribute("href")
    assert_no_errors(driver, site)


def test_without_scripts_a_query_is_searched_and_judged(driver, site, labels):
    disable = "Emulation.setScriptExecutionDisabled"
    driver.execute_cdp_cmd(disable, {"value": True})
    try:
        opened(driver, f"{site}/page/search?i=words")
        one(driver, "#q").send_keys("idles")
        one(driver, "#search .primary").click()
        one(driver, ".hit[data-doc=car] [data-grade='1']").click()
        one(driver, ".hit[data-doc=car].relevant")
    finally:
        driver.execute_cdp_cmd(disable, {"value": False})
    assert {"car": 1} in read_qrels(labels / f"{NAME}.csv").values()

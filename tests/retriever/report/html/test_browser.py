"""The page in a real browser: its controls, and that it fits every screen."""

from dataclasses import replace
from itertools import combinations

import pytest

from indexes.images import Image
from retriever.evaluation.results import Agreement, Excerpt, Query
from retriever.report.html.page import write_page
from tests.support.models.pictures import illustrated, picture
from tests.support.samples import compared, cost, difference, latency, only, row, three, unjudged
from tests.support.services.browser import (
    CUT_OFF,
    FAINT,
    assert_no_errors,
    browser,
    one,
    opened,
    texts,
)

SCREENS = [(360, 740), (768, 1024), (1280, 900)]
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
FAMILIES = ("static", "contextual", "lexical", "combined", "hashing", "custom")
MEASURES = ("nDCG@10", "R@10", "R@100", "RR@10")
UNANSWERED = "No system found it: check the label (0)"
LONG = "a-name-as-long-as-a-name-may-be-" * 2


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("profile")) as opened_browser:
        # An opened query is filled a moment later.
        opened_browser.implicitly_wait(3)
        yield opened_browser


@pytest.fixture(scope="module")
def url_of(tmp_path_factory):
    """Return a function that writes the page of a comparison and returns its URL."""

    def write(made):
        path = tmp_path_factory.mktemp("pages") / "page.html"
        write_page(made, path)
        return path.as_uri()

    return write


@pytest.fixture(scope="module")
def small(url_of):
    """The page of three systems and two queries, glove against minilm."""
    return url_of(three())


@pytest.fixture(scope="module")
def crowded(url_of):
    """The page of nine systems, close to each other, one with a long name; texts without blanks."""
    return url_of(nine(20, words=("ordinary words", "x" * 300, HOSTILE)))


def nine(queries, words):
    """Nine systems over some queries, with ten different hits each and four equal measures.

    Some systems are better than the baseline, some are worse, and some neither.
    """
    names = [LONG, *(f"system-{n}" for n in range(8))]
    ids = [f"q{n}" for n in range(queries)]
    values = {
        name: {query: ((n * 7 + at * 3) % 11) / 10 for n, query in enumerate(ids)}
        for at, name in enumerate(names)
    }
    hits = {
        name: {q: [f"d{(at + n + rank) % 40}" for rank in range(10)] for n, q in enumerate(ids)}
        for at, name in enumerate(names)
    }
    unknown, matched = {LONG: ["x" * 200]}, frozenset({"words", "script"})
    made = compared(
        [system(at, name) for at, name in enumerate(names)],
        values,
        hits,
        [
            Query(q, f"{words[n % len(words)]} {q}", {f"d{n % 40}": 1}, unknown, matched)
            for n, q in enumerate(ids)
        ],
        baseline=LONG,
        documents={f"d{n}": Excerpt(words[n % len(words)], words[-1] * 3) for n in range(40)},
        pairwise=dict.fromkeys(combinations(names, 2), Agreement(0.5, 0.4)),
        k=10,
        notes=["y" * 300, HOSTILE],
        environment={"collection": LONG, "command": "z" * 300, "w" * 100: "v" * 300},
    )
    per_query = {name: dict.fromkeys(MEASURES, found) for name, found in values.items()}
    return replace(made, measures=MEASURES, per_query=per_query)


def system(at, name):
    """The system in place `at` of the nine; only the fourth is an ANN index."""
    ann = {"kind": "ann", "exact_quality": {"nDCG@10": 0.6}, "ann_recall": 0.95} if at == 3 else {}
    chance = difference((at - 4) / 200, -0.05, 0.1, at % 3 / 4 + 0.01, 100)
    made = row(
        name,
        family=FAMILIES[at % 6],
        latency=latency(1 + at / 10, tuple(1 + at / 10 + n / 50 for n in range(50))),
        cost=cost(100 + at),
        throughput=100,
        differences=dict.fromkeys(MEASURES, chance) if at else {},
        **ann,
    )
    return replace(made, quality=dict.fromkeys(MEASURES, 0.5 + at / 200))


def cells(driver, selector):
    """Return the cells of a table, row by row."""
    return driver.execute_script(
        "return [...document.querySelectorAll(arguments[0])]"
        ".map((row) => [...row.cells].map((cell) => cell.innerText))",
        selector,
    )


def choose(driver, name, text):
    driver.execute_script(
        "const select = document.getElementById(arguments[0]);"
        "select.value = [...select.options].find((o) => o.text === arguments[1]).value;"
        "select.dispatchEvent(new Event('change'))",
        name,
        text,
    )


# Texts that are outside of their plot or overlap.
BAD_PLOTS = """
const found = [];
let plots = 0;
for (const svg of document.querySelectorAll('svg')) {
  if (!svg.checkVisibility()) continue;
  plots += 1;
  const frame = svg.viewBox.baseVal;
  const texts = [...svg.querySelectorAll('text')].map((text) => [text.textContent, text.getBBox()]);
  for (const [text, box] of texts) {
    if (box.x < -0.5 || box.y < -0.5 || box.x + box.width > frame.width + 0.5
        || box.y + box.height > frame.height + 0.5) found.push(`${text} leaves the plot`);
  }
  texts.forEach(([text, a], at) => {
    for (const [other, b] of texts.slice(at + 1)) {
      const across = a.x + a.width > b.x + 1 && b.x + b.width > a.x + 1;
      const down = a.y + a.height > b.y + 3 && b.y + b.height > a.y + 3;
      if (across && down) found.push(`${text} on ${other}`);
    }
  });
}
return [plots, found];
"""

# The words, the size on the screen, and whether it is decoded, of images and of their boxes.
THUMBNAILS = """
return [...document.querySelectorAll(arguments[0])].map((e) => {
  const box = e.getBoundingClientRect();
  const words = e.alt || (e.innerText === e.ariaLabel && e.ariaLabel);
  const inside = box.left >= 0 && box.right <= document.documentElement.clientWidth;
  const size = e.naturalWidth ? [Math.round(box.width), Math.round(box.height)] : null;
  return [words, size, inside];
});
"""


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (900, "dark"), (1400, "light")])
def test_images_have_their_shape_and_words_or_a_box_of_words(driver, url_of, width, scheme):
    gone = Image("gone.jpg", "", data=b"gone")
    images = {"cat": Image.of(picture(size=(300, 100))), "dog": gone, "car": gone}
    made = illustrated(three(), images, {"q1": Image.of(picture(size=(100, 300)))})
    made.documents["car"] = Excerpt(HOSTILE, "x" * 500, gone)
    opened(driver, f"{url_of(made)}#q=q1", width=width, scheme=scheme)
    hits = driver.execute_script(THUMBNAILS, ".column:last-child .hits .thumbnail")
    assert hits == [
        ["A dog barks.", None, True],
        ["</script><script>alert(1)</script><img src=x onerror=alert(1)>", None, True],
        ["The cat", [96, 32], True],
    ]
    queries = driver.execute_script(THUMBNAILS, "#queries summary .thumbnail")
    assert queries == [["image", [32, 96], True]]
    assert driver.execute_script(CUT_OFF) == []
    assert driver.execute_script(FAINT) == []
    assert_no_errors(driver)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), SCREENS)
def test_everything_fits_and_can_be_read(driver, crowded, width, height, scheme):
    opened(driver, f"{crowded}#q=q1", width=width, height=height, scheme=scheme)
    # The query in the link is open; its texts have no blanks to break at.
    assert len(texts(driver, ".query[open] .hits li")) == 20
    driver.execute_script("document.querySelectorAll('.more').forEach((m) => { m.open = true })")
    assert driver.execute_script(CUT_OFF) == []
    assert driver.execute_script(BAD_PLOTS) == [7, []]
    assert driver.execute_script(FAINT) == []
    assert_no_errors(driver)


def test_the_button_changes_the_theme(driver, small):
    opened(driver, small, scheme="dark")
    shade = "return getComputedStyle(document.body).backgroundColor"
    dark = driver.execute_script(shade)
    assert one(driver, "#theme").text == "Light"
    one(driver, "#theme").click()
    assert one(driver, "#theme").text == "Dark"
    assert driver.execute_script(shade) != dark
    one(driver, "#theme").click()
    assert driver.execute_script(shade) == dark


def test_a_query_is_opened_with_the_mouse(driver, small):
    opened(driver, small)
    assert texts(driver, "#queries .text") == ["When are taxes due?", "Why does my cat purr?"]
    driver.find_elements("css selector", "#queries summary")[1].click()
    one(driver, ".inside")
    assert cells(driver, ".inside tr") == [
        ["", "Grade", "bm25", "glove", "minilm"],
        ["The cat (cat)", "2", "1", "2", "3"],
    ]
    assert texts(driver, ".column h4") == ["glove", "minilm"]
    assert texts(driver, ".column:first-of-type .title, .column:first-of-type .excerpt") == [
        "A dog barks.",
        "The cat",
        "A kitten purrs; a CAT is no bobcat, nor caterpillar.",
    ]
    # Whole words in any case, in the title too; the cat is in both columns.
    assert texts(driver, "mark") == ["cat", "purrs", "CAT"] * 2
    assert texts(driver, ".relevant .grade") == ["relevant, grade 2"] * 2
    ranks = texts(driver, ".relevant .facts-of span:last-child")
    assert ranks == ["rank 3 in minilm", "rank 2 in glove"]
    assert_no_errors(driver)


def test_a_document_that_was_not_found_has_no_rank(driver, small):
    opened(driver, f"{small}#q=q2")
    one(driver, ".inside")
    assert cells(driver, ".inside tr")[1:] == [["tax", "1", "-", "-", "1"]]
    assert texts(driver, ".unknown") == ["glove does not know: taxes"]
    assert texts(driver, ".column .remark") == ["No hits."]


def test_queries_are_opened_with_the_keyboard(driver, small):
    from selenium.webdriver.common.keys import Keys

    opened(driver, small)
    first, second = driver.find_elements("css selector", "#queries summary")
    one(driver, "#quick button:last-child").send_keys(Keys.TAB)
    assert driver.switch_to.active_element == first
    first.send_keys(Keys.ARROW_DOWN)
    assert driver.switch_to.active_element == second
    outline = "return getComputedStyle(document.activeElement).outlineStyle"
    assert driver.execute_script(outline) == "solid"
    second.send_keys(Keys.ENTER)
    one(driver, ".query[open] .all").send_keys(Keys.ENTER)
    assert texts(driver, ".column h4") == ["bm25", "glove", "minilm"]
    driver.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert texts(driver, ".query[open] .text") == []
    assert driver.switch_to.active_element == second


def test_queries_are_filtered_by_words_and_ids(driver, small):
    opened(driver, small)
    box = one(driver, "#filter")
    for typed, found in [("TAXES", 1), ("q1", 1), ("dog", 2), ("car", 1), ("zebra", 0)]:
        box.clear()
        box.send_keys(typed)
        assert len(texts(driver, "#queries .query")) == found, typed
    assert texts(driver, "#shown") == ["No query matches. Clear the filter to see all."]


def test_quick_filters_follow_the_two_systems(driver, small):
    opened(driver, small)
    assert texts(driver, "#quick button") == [
        "All (2)",
        "glove beats minilm (1)",
        "minilm beats glove (1)",
        "Tied (0)",
        UNANSWERED,
    ]
    one(driver, "[data-quick=b]").click()
    assert texts(driver, "#queries .text") == ["When are taxes due?"]
    assert one(driver, "[data-quick=b]").get_attribute("aria-pressed") == "true"
    choose(driver, "b", "bm25")
    buttons = texts(driver, "#quick button")[1:4]
    assert buttons == ["glove beats bm25 (0)", "bm25 beats glove (1)", "Tied (1)"]
    assert texts(driver, "#queries .text") == ["Why does my cat purr?"]
    assert texts(driver, "#differences h3") == ["nDCG@10: glove minus bm25, query by query"]


def test_queries_are_ordered(driver, small):
    opened(driver, small)
    for order, first in [
        ("glove ahead first", "Why does my cat purr?"),
        ("minilm ahead first", "When are taxes due?"),
        # Means over the systems: 0.583 and 0.333.
        ("Hardest first", "When are taxes due?"),
        ("As given", "Why does my cat purr?"),
    ]:
        choose(driver, "order", order)
        assert texts(driver, "#queries .text")[0] == first, order


def test_a_bar_opens_its_query(driver, small):
    opened(driver, small)
    heights = driver.execute_script(
        "return [...document.querySelectorAll('#bars .up, #bars .down')]"
        ".map((bar) => [bar.getAttribute('class'), bar.height.baseVal.value])"
    )
    # 0.25 for glove and 1 for minilm: the largest difference is 88 high.
    assert heights == [["up", 22], ["down", 88]]
    one(driver, "#bars [data-query=q1]").click()
    assert texts(driver, ".query[open] .text") == ["Why does my cat purr?"]


def test_a_link_opens_its_query_with_hostile_texts_as_texts(driver, crowded):
    opened(driver, f"{crowded}#q=q7")
    assert texts(driver, ".query[open] .text") == [f"{'x' * 300} q7"]
    focused = driver.execute_script("return document.activeElement.parentElement.dataset.id")
    assert focused == "q7"
    opened(driver, f"{crowded}#q=q2")
    assert texts(driver, ".query[open] .text") == [f"{HOSTILE} q2"]
    assert driver.execute_script("return document.querySelectorAll('img').length") == 0
    assert_no_errors(driver)


@pytest.mark.parametrize(
    ("made", "filters", "values"),
    [
        (
            unjudged(),
            ["All (2)", "Same results (0)"],
            # Of two hits and three, two are the same; of none and two, none.
            ["q2\noverlap of glove and minilm 0.00", "q1\noverlap of glove and minilm 0.67"],
        ),
        (
            only(three(), "minilm"),
            ["All (2)", UNANSWERED],
            ["q1\nminilm 0.250", "q2\nminilm 1.000"],
        ),
        (
            replace(three(), queries={"q2": three().queries["q2"]}),
            ["All (1)", "glove beats minilm (0)", "minilm beats glove (1)", "Tied (0)", UNANSWERED],
            ["q2\ndifference −1.000\nbm25 0.000\nglove 0.000\nminilm 1.000"],
        ),
        (compared([], {}, {}, []), [], []),
    ],
    ids=["unjudged", "one system", "one query", "nothing"],
)
def test_controls_without_a_purpose_are_absent(driver, url_of, made, filters, values):
    opened(driver, url_of(made), width=360)
    assert texts(driver, "#quick button") == filters
    assert texts(driver, "#queries .values") == values
    assert driver.execute_script(CUT_OFF) == []
    assert_no_errors(driver)


def test_300_queries_of_nine_systems_are_filtered(driver, url_of):
    made = nine(300, words=("some words of a query", "other words", "a third question of the set"))
    opened(driver, url_of(replace(made, baseline=None)))
    assert len(texts(driver, "#queries .query")) == 100
    one(driver, "#more").click()
    assert len(texts(driver, "#queries .query")) == 200
    driver.execute_script(
        "const box = document.getElementById('filter');"
        "box.value = 'third'; box.dispatchEvent(new Event('input'));"
    )
    assert texts(driver, "#shown") == ["100 of 300 queries"]


def sorted_by(driver, column):
    """Click on a heading of the first table; return its systems and what the heading says."""
    head = driver.find_element("xpath", f"(//table)[1]//th[normalize-space()='{column}']")
    head.find_element("css selector", ".sort").click()
    names = [row[0] for row in cells(driver, "table:first-of-type tbody tr")[:3]]
    return names, head.get_attribute("aria-sort")


def test_a_table_is_sorted_by_a_column_both_ways_and_back(driver, small):
    opened(driver, small)
    found = [sorted_by(driver, "nDCG@10") for _ in range(3)]
    assert found == [
        (["minilm", "bm25", "glove"], "descending"),
        (["glove", "bm25", "minilm"], "ascending"),
        (["bm25", "glove", "minilm"], None),
    ]
    assert_no_errors(driver)


def test_sorting_knows_units_signs_and_what_is_no_number(driver, small):
    opened(driver, small)
    texts_of = "[...document.querySelectorAll('table')[0].tBodies[0].rows]"
    fill = f"{texts_of}.forEach((r, at) => {{ r.cells[1].textContent = arguments[0][at]; }})"
    for given, expected in (
        (["950 kB", "1.25 GB", "7.9 MB"], ["1.25 GB", "7.9 MB", "950 kB"]),
        (["−0.298", "-", "+0.003"], ["+0.003", "−0.298", "-"]),
        (["0.500", "1,234.50", "< 0.001"], ["1,234.50", "0.500", "< 0.001"]),
    ):
        opened(driver, small)
        driver.execute_script(fill, given)
        sorted_by(driver, "nDCG@10")
        assert [row[1] for row in cells(driver, "table:first-of-type tbody tr")[:3]] == expected


def test_a_table_is_copied_as_tab_separated_text(driver, small):
    opened(driver, small)
    driver.execute_script(
        "navigator.clipboard.writeText = async (text) => { window.copied = text; }"
    )
    one(driver, ".copy").click()
    lines = driver.execute_script("return window.copied").split("\n")
    assert lines == ["\tnDCG@10", "bm25\t0.5000", "glove\t0.2500", "minilm\t0.6250"]
    assert one(driver, ".copy").text == "Copied"


def test_a_dot_of_the_scatter_opens_its_query(driver, small):
    opened(driver, small)
    dots = driver.find_elements("css selector", "#points .spot")
    assert len(dots) == 2
    dots[0].click()
    assert one(driver, ".query[open]").get_attribute("data-id") in ("q1", "q2")
    assert one(driver, "#scatter-title").text.startswith("nDCG@10: ")


@pytest.mark.parametrize("width", [360, 900, 1400])
def test_hits_start_at_one_place_whether_relevant_or_not(driver, small, width):
    opened(driver, f"{small}#q=q1", width=width)
    left = "[...document.querySelectorAll('.column:first-child .rank')].map((e) => e.offsetLeft)"
    assert len(set(driver.execute_script(f"return {left}"))) == 1


@pytest.mark.parametrize("width", [900, 1400])
def test_the_table_of_differences_fits_beside_its_verdicts(driver, small, width):
    opened(driver, small, width=width)
    wide = (
        "const e = document.querySelector('#chance .scroll'); return e.scrollWidth - e.clientWidth"
    )
    assert driver.execute_script(wide) <= 0


def test_short_names_stay_on_one_line_and_the_table_of_systems_fits(driver, small, crowded):
    page = opened(driver, small, width=900)
    table = one(page, ".scroll[aria-label='What was compared']")
    hidden = "return arguments[0].scrollWidth - arguments[0].clientWidth"
    assert page.execute_script(hidden, table) == 0
    for width in (360, 900):
        page = opened(driver, crowded, width=width)
        lines = page.execute_script("""
            const names = [...document.querySelectorAll('tbody th > span')];
            const short = names.filter((one) => one.textContent.startsWith('system-'));
            const height = (one) => parseFloat(getComputedStyle(one).lineHeight);
            return short.filter((one) => one.offsetHeight).map(
                (one) => Math.round(one.offsetHeight / height(one)));
        """)
        assert set(lines) == {1}

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import combinations, pairwise, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retriever.evaluation.depths import quality_by_depth
from retriever.evaluation.results import Query
from retriever.report.html.curves import Curve, curves_plot
from retriever.report.html.drawing import PlotTexts, px
from retriever.report.html.page import page
from retriever.report.html.plot_labels import Box, cut, place, text_width
from retriever.report.html.plots import Point, Strip, points_plot, strips_plot
from retriever.report.html.scales import Scale
from tests.support.samples import compared, latency, row, three, unjudged

TEXTS = PlotTexts("key", "A title", "A description", "cost", "quality")


def drawings(plot):
    """The drawing for phones, and the one for wider screens."""
    narrow, wide = (ET.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", plot, re.DOTALL))
    return narrow, wide


def with_class(svg, name):
    return [element for element in svg.iter() if name in (element.get("class") or "").split()]


@pytest.mark.parametrize(
    ("values", "length", "log", "places"),
    [
        ([2, 6, 4], 100, False, {2: 0, 4: 50, 6: 100, 7: 125}),
        ([1, 100], 200, True, {1: 0, 10: 100, 100: 200}),
        # Zero is drawn at the smallest value of a log scale, 0.001.
        ([0, 1], 300, True, {0: 0, 0.001: 0, 0.01: 100, 1: 300}),
        ([5, 5], 100, False, {5: 50}),
    ],
)
def test_a_scale_places_values(values, length, log, places):
    scale = Scale.over(values, 100, 100 + length, log=log)
    assert {value: scale(value) - 100 for value in places} == places


@pytest.mark.parametrize(
    ("values", "width", "ticks"),
    [
        ([1, 100], 400, ["1", "2", "5", "10", "20", "50", "100"]),
        ([1, 100], 250, ["1", "3", "10", "30", "100"]),
        ([1, 10_000], 250, ["1", "10", "100", "1,000", "10,000"]),
        ([1, 10_000], 150, ["1", "100", "10,000"]),
        # Too little for round steps of a decade.
        ([3.1, 3.4], 300, ["3.1", "3.2", "3.3", "3.4"]),
    ],
)
def test_log_ticks(values, width, ticks):
    scale = Scale.over(values, 0, width, log=True)
    assert [text for _, text in scale.ticks(-1, width + 1, 50)] == ticks


def test_linear_ticks_are_as_many_as_fit_and_one_for_one_value():
    scale = Scale.over([0.2, 0.6], 200, 0)
    assert [text for _, text in scale.ticks(-1, 201, 34)] == ["0.2", "0.3", "0.4", "0.5", "0.6"]
    assert [text for _, text in scale.ticks(-1, 201, 60)] == ["0.2", "0.4", "0.6"]
    assert [text for _, text in Scale.over([-1, 1], 0, 100).ticks(0, 100, 40)] == ["−1", "0", "1"]
    assert Scale.over([5], 0, 100).ticks(0, 100, 10) == [(5, "5")]


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=5), st.booleans(), st.floats(20, 60))
def test_ticks_keep_their_distance_and_stay_inside(values, log, apart):
    scale = Scale.over(values, 24, 280, log=log)
    places = sorted(scale(value) for value, _ in scale.ticks(0, 304, apart))
    assert all(0 <= place <= 304 for place in places)
    assert all(b - a >= apart for a, b in pairwise(places))


FRAME = Box(0, 0, 300, 200)


def test_a_label_is_right_of_its_point_left_where_there_is_no_room_or_absent():
    (spot,) = place([((100, 100), "abc")], FRAME)
    assert (spot.box.left, (spot.box.top + spot.box.bottom) / 2) == (110, 100)
    (spot,) = place([((295, 100), "abc")], FRAME)
    assert (spot.box.right, spot.anchor) == (285, "end")
    assert place([((5, 5), "abc")], Box(0, 0, 10, 10)) == [None]
    # Seven points in one place all get a label.
    labels = [((150, 100), f"system-{n}") for n in range(7)]
    assert None not in place(labels, FRAME)
    # Long names are cut.
    assert cut("bm25", 100) == "bm25"
    assert cut("n" * 64, 100) == "n" * 11 + "…"
    assert text_width(cut("検索" * 30, 100)) <= 100


PLACES = st.tuples(st.floats(24, 276), st.floats(24, 176))


def test_a_label_is_not_put_on_the_line_of_the_front_where_there_is_another_place():
    (spot,) = place([((100, 100), "abc")], FRAME, [Box(100, 100, 300, 100)])
    assert spot.box.right == 90


def test_no_leader_crosses_a_label_where_there_is_another_place():
    at = [((150, 100), "a system"), ((150, 118), "a second"), ((150, 82), "a third")]
    spots = place([*at, ((150, 100), "another"), ((150, 100), "a last one")], FRAME)
    assert any(spot.leader for spot in spots)
    assert not any(a.box.crossed(b.leader) for a, b in permutations(spots, 2))


@given(st.lists(st.tuples(PLACES, st.text(max_size=20)), max_size=30))
def test_labels_never_overlap_each_other_or_the_frame(labels):
    boxes = [spot.box for spot in place(labels, FRAME) if spot]
    assert all(FRAME.holds(box) for box in boxes)
    assert not any(a.touches(b) for a, b in combinations(boxes, 2))


def three_points():
    points = [Point("a", "static", 1, 0.2), Point("b", "lexical", 10, 0.4)]
    return points_plot([*points, Point("c", "contextual", 100, 0.6)], ["a", "b", "c"], TEXTS)


def test_points_are_at_their_values_and_the_front_rises_at_each_system():
    narrow, _ = drawings(three_points())
    # 320 wide and 258 high; the frame is 40 to 312 and 26 to 214, the points 24 inside of it.
    assert narrow.get("viewBox") == "0 0 320 258"
    assert [point.get("transform") for point in with_class(narrow, "point")] == [
        "translate(64,190)",
        "translate(176,120)",
        "translate(288,50)",
    ]
    (pareto_front,) = with_class(narrow, "front")
    assert pareto_front.get("d") == "M64,190H176V120H288V50H312"


def test_systems_off_the_front_are_hollow_and_names_are_escaped():
    points = [Point("a", "static", 1, 0.2), Point("b", "static", 10, 0.1)]
    narrow, _ = drawings(points_plot(points, ["a"], TEXTS))
    assert [p.get("data-name") for p in with_class(narrow, "on") if p.tag == "path"] == ["a"]
    assert [p.get("data-name") for p in with_class(narrow, "off")] == ["b"]
    narrow, _ = drawings(points_plot([Point('<b>"&', "static", 1, 0.5)], [], TEXTS))
    assert [label.text for label in with_class(narrow, "label")] == ['<b>"&']
    assert points_plot([], [], TEXTS) == strips_plot([], TEXTS) == ""


def test_a_plot_has_an_accessible_title_and_description():
    for svg in drawings(three_points()):
        assert svg.get("role") == "img"
        ids = {element.get("id"): element.text for element in svg if element.get("id")}
        assert ids[svg.get("aria-labelledby")] == "A title"
        assert ids[svg.get("aria-describedby")] == "A description"


def test_an_interval_is_a_line_with_a_dot():
    strips = [Strip("a", "+0.1", "better", -1, 0, 3), Strip("b", "", "same", 1, 2, 3)]
    narrow, _ = drawings(strips_plot(strips, TEXTS, zero=True))
    at = Scale.over([-1, 3], 32, 278 - text_width("+0.1"))
    first, second = with_class(narrow, "thin")
    assert [first.get("x1"), first.get("x2"), second.get("x1")] == [px(at(x)) for x in (-1, 3, 1)]
    assert [dot.get("cx") for dot in with_class(narrow, "dot")] == [px(at(0)), px(at(2))]
    (zero,) = with_class(narrow, "zero")
    assert zero.get("x1") == px(at(0))
    assert "tone-better" in first.get("class")


def test_values_of_strips_are_right_of_the_frame_at_the_height_of_their_lines():
    strips = [Strip("a", "+0.1", "better", -1, 0, 3), Strip("b", "−0.2", "same", 1, 2, 3)]
    narrow, _ = drawings(strips_plot(strips, TEXTS))
    (base,) = with_class(narrow, "base")
    for text, dot in zip(with_class(narrow, "value"), with_class(narrow, "dot"), strict=True):
        assert (text.get("x"), text.get("text-anchor")) == ("312", "end")
        assert 312 - text_width(text.text) > float(base.get("x2"))
        assert float(text.get("y")) == float(dot.get("cy")) + 4


def plot_of(html, name):
    return next(s for s in re.findall(r"<svg.*?</svg>", html, re.DOTALL) if f'id="{name}' in s)


def test_times_are_drawn_as_quantiles():
    # 1 to 101 in steps of 1: the 5th, 25th, ... quantile are 6, 26, ...
    system = row("a", 0.5, latency=latency(50, tuple(float(n) for n in range(1, 102))))
    queries = [Query("q", "?", {"d": 1})]
    svg = plot_of(page(compared([system], {"a": {"q": 1.0}}, {}, queries)), "times")
    assert "a: median 51, 95 % within 96" in svg
    (box,) = with_class(ET.fromstring(svg), "thick")
    scale = Scale.over([6, 100], 32, 278 - text_width("51.00 ms"), log=True)
    assert [float(box.get(x)) for x in ("x1", "x2")] == [round(scale(26), 1), round(scale(76), 1)]


def test_the_differences_to_the_baseline_are_drawn_with_their_verdicts():
    svg = plot_of(page(three()), "chance")
    assert "glove −0.250 (−0.400 to −0.100), worse" in svg
    assert "minilm +0.125 (−0.050 to +0.300), not distinguishable" in svg


def test_a_curve_passes_its_values_and_is_named_at_its_end():
    curves = [Curve("a", "static", [0.1, 0.2, 0.4]), Curve("b", "static", [0.1, 0.3, 0.4])]
    narrow, _ = drawings(curves_plot([1, 10, 100], curves, TEXTS))
    a, b = with_class(narrow, "curve")
    xs, ys = Scale.over([1, 100], 50, 286 - text_width("a")), Scale.over([0.1, 0.4], 204, 36)
    middle = (xs(1) + xs(100)) / 2
    places = [(xs(1), ys(0.1)), (middle, ys(0.2)), (xs(100), ys(0.4))]
    assert a.get("d") == "M" + "L".join(f"{px(x)},{px(y)}" for x, y in places)
    # Two of one family have lines of their own, and their names are a line apart.
    assert (a.get("stroke-dasharray"), b.get("stroke-dasharray")) == (None, "6 3")
    names = [text for text in with_class(narrow, "label") if text.text in "ab"]
    assert float(names[1].get("y")) - float(names[0].get("y")) >= 15


def test_the_curve_of_the_page_is_the_measure_at_other_cutoffs():
    found = quality_by_depth(three())
    assert (found.family, found.cutoffs) == ("nDCG", [1, 2, 3])
    # bm25 has the only relevant document of one of two queries at rank 1.
    assert found.values["bm25"][0] == 0.5
    assert "At k = 3: bm25" in plot_of(page(three()), "depth")


def test_measures_without_a_cutoff_have_no_curve():
    assert quality_by_depth(replace(three(), measures=["AP"])) is None
    assert quality_by_depth(unjudged()) is None

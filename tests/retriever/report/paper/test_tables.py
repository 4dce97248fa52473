"""Tables for papers: LaTeX, Markdown, marks, letters and the macro average."""

import re
from dataclasses import replace

import pytest

from indexes.errors import InputError
from retriever.evaluation.macro_average import SeveralComparisons
from retriever.report.paper.latex import escaped, latex
from retriever.report.paper.markdown import markdown
from retriever.report.paper.table import paper_table
from tests.support.samples import MEASURE, difference, only, three, unjudged
from tests.support.toy import refused

HOSTILE = r"a_b & 50% of $x$ #1 {y} \input{/etc/passwd} ~ ^ <b>|"


def read_latex(text):
    """Check that environments and braces match; return the cells of the lines of the table."""
    stack = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if kind == "begin":
            stack.append(name)
        else:
            assert stack.pop() == name
    assert stack == []
    bare = re.sub(r"\\[{}\\&%$#_]", "", text)
    depth = 0
    for letter in bare:
        depth += {"{": 1, "}": -1}.get(letter, 0)
        assert depth >= 0
    assert depth == 0
    assert len(re.findall(r"(?<!\\)\$", text)) % 2 == 0
    columns = len(re.search(r"\\begin\{tabular\}\{([lr]+)\}", text).group(1))
    body = text.split(r"\toprule")[1].split(r"\bottomrule")[0]
    lines = [line.strip() for line in body.splitlines() if line.rstrip().endswith(r"\\")]
    rows = [re.split(r"(?<!\\)&", line.removesuffix(r"\\")) for line in lines]
    for row in rows:
        spans = (re.search(r"\\multicolumn\{(\d+)\}", cell) for cell in row)
        assert sum(int(span.group(1)) if span else 1 for span in spans) == columns
    return [[cell.strip() for cell in row] for row in rows]


def with_pairs(made):
    """minilm is better than both others; bm25 is not distinguishable from glove."""
    sure, unsure = difference(0.1, 0.05, 0.2, 0.01), difference(0.25, -0.1, 0.5, 0.4)
    pairs = {
        ("bm25", "glove"): {MEASURE: unsure},
        ("bm25", "minilm"): {MEASURE: replace(sure, mean=-0.125)},
        ("glove", "minilm"): {MEASURE: replace(sure, mean=-0.375)},
    }
    return replace(made, pairs=pairs)


def test_latex_has_every_value_the_best_in_bold_and_arrows():
    text = three().to_latex()
    assert read_latex(text) == [
        ["System", "nDCG@10", "ms a query"],
        ["bm25", "0.5000", "1.00"],
        ["glove", r"0.2500\rlap{$^{\downarrow}$}", r"\textbf{0.10}"],
        ["minilm", r"\textbf{0.6250}", "10.00"],
    ]
    assert r"\usepackage{booktabs}" in text
    (caption,) = re.findall(r"\\caption\{(.*)\}", text)
    assert "nDCG@10 (2 judged queries, 100 documents)" in caption
    assert "better or worse than bm25 (paired randomization test, p $<$ 0.05, Holm" in caption


def test_letters_name_the_systems_that_one_is_better_than():
    made = with_pairs(three())
    rows = read_latex(made.to_latex())
    assert [row[:2] for row in rows[1:]] == [
        ["bm25 (a)", "0.5000"],
        ["glove (b)", "0.2500"],
        ["minilm (c)", r"\textbf{0.6250}$^{a,b}$"],
    ]
    assert "3 pairs" in made.to_latex()
    assert "| minilm (c) | **0.6250** <sup>a,b</sup> |" in made.to_markdown()


def test_names_with_a_meaning_in_latex_stay_names():
    made = only(three(), "bm25")
    row = replace(made.rows["bm25"], name=HOSTILE)
    text = latex(paper_table(replace(made, rows={HOSTILE: row})))
    ((_, *_), (name, *_)) = read_latex(text)
    assert name.startswith(r"a\_b \& 50\% of \$x\$ \#1 \{y\} \textbackslash{}input\{/etc")
    assert escaped("one\ntwo\x07") == "one two"


def test_markdown_has_as_many_cells_in_each_line_and_escapes_names():
    made = three()
    lines = made.to_markdown().splitlines()
    assert lines[:5] == [
        "| System | nDCG@10 | ms a query |",
        "| --- | ---: | ---: |",
        "| bm25 | 0.5000 | 1.00 |",
        "| glove | 0.2500 ▼ | **0.10** |",
        "| minilm | **0.6250** | 10.00 |",
    ]
    assert lines[6].startswith(
        "nDCG@10 (2 judged queries, 100 documents). Best values are bold. ▲▼"
    )
    row = replace(made.rows["bm25"], name="a|b <i>")
    text = markdown(paper_table(replace(made, rows={"a|b <i>": row})))
    assert r"| a\|b &lt;i&gt; | 0.5000 |" in text


@pytest.mark.parametrize("draw", ["to_latex", "to_markdown"])
def test_a_comparison_without_judgments_has_no_table(draw):
    refused(InputError, "no judgments", getattr(unjudged(), draw))


def lower(made, value):
    rows = {name: replace(row, quality={MEASURE: value}) for name, row in made.rows.items()}
    return replace(made, rows=rows)


def test_the_macro_average_weighs_collections_alike():
    several = SeveralComparisons({"one": three(), "two": lower(three(), 0.1)})
    assert several.average == {
        "bm25": {MEASURE: 0.3},
        "glove": {MEASURE: 0.175},
        "minilm": {MEASURE: 0.3625},
    }
    rows = read_latex(latex(paper_table(several)))
    assert rows[0][1:] == [
        r"\multicolumn{1}{c}{one}",
        r"\multicolumn{1}{c}{two}",
        r"\multicolumn{1}{c}{macro average}",
    ]
    assert rows[3][1:] == [
        r"0.2500\rlap{$^{\downarrow}$}",
        r"0.1000\rlap{$^{\downarrow}$}",
        "0.1750",
    ]
    assert several.to_csv().splitlines()[-1] == "macro average,minilm,nDCG@10,0.3625"
    assert '"collection": "macro average"' in several.to_json().splitlines()[-1]


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (only(three(), "bm25", "glove"), "Name the same ones with -i"),
        (replace(three(), baseline=None), "another baseline"),
        (replace(three(), measures=("AP",)), "other measures"),
    ],
)
def test_only_the_same_systems_measures_and_baseline_are_averaged(other, says):
    refused(InputError, says, SeveralComparisons, {"one": three(), "two": other})


def test_one_collection_has_no_macro_average():
    refused(InputError, "at least two", SeveralComparisons, {"one": three()})

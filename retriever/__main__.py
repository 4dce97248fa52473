"""Entry point of `python -m retriever`."""

from retriever.cli import cli

if __name__ == "__main__":
    cli(prog_name="retriever")

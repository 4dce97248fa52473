"""`python -m retriever`: the command line."""

from retriever.cli import cli

if __name__ == "__main__":
    cli(prog_name="retriever")

"""A comparison with its outputs: text, JSON, CSV, pandas, HTML, label file and runs."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexes.errors import InputError
from retriever.evaluation.pooling import DEFAULT_POOL_QUERIES, judgment_pool
from retriever.evaluation.results import ComparisonResults
from retriever.formats import write_label_file
from retriever.report import exports

if TYPE_CHECKING:
    from retriever.report.paper.table import PaperTable

# Characters that no file name can hold, and white space.
_UNFIT = re.compile(r'[\s/\\:*?"<>|\x00-\x1f]')


@dataclass(frozen=True)
class Comparison(ComparisonResults):
    """Results of several systems for the same queries, to print, export or write to files."""

    def __str__(self) -> str:
        from retriever.report.terminal.comparison import plain_comparison

        return plain_comparison(self)

    def _repr_html_(self) -> str:
        """Return the main tables, which notebooks show."""
        from retriever.report.html.notebook import comparison_html

        return comparison_html(self)

    def to_json(self) -> str:
        """Return JSON lines, one object per system: its quality, its cost and its agreements."""
        return exports.json_lines(self)

    def to_csv(self) -> str:
        """Return CSV with one line per number, under `system,what,value`."""
        return exports.csv_lines(self)

    def to_pandas(self) -> Any:
        """Return a pandas DataFrame: one row per system, one column per number of `to_csv`.

        Raises:
            InputError: pandas is not installed.
        """
        return exports.data_frame(self)

    def to_latex(self) -> str:
        """Return a LaTeX table: systems, measures, significance; it needs booktabs.

        Raises:
            InputError: there are no judgments.
        """
        from retriever.report.paper.latex import latex

        return latex(self._paper_table())

    def to_markdown(self) -> str:
        """Return the table of `to_latex` in Markdown.

        Raises:
            InputError: there are no judgments.
        """
        from retriever.report.paper.markdown import markdown

        return markdown(self._paper_table())

    def _paper_table(self) -> PaperTable:
        from retriever.report.paper.table import paper_table

        self.measure  # noqa: B018 - raises without judgments
        return paper_table(self)

    def write_plots(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write each plot of the page as SVG and PDF, with its fonts; return the paths.

        Raises:
            InputError: reportlab is not installed, or the folder cannot be written to.
        """
        from retriever.report.paper.plot_files import write_plots

        return write_plots(self, Path(folder))

    def write_html(self, path: str | os.PathLike[str]) -> None:
        """Write one self-contained page: tables, plots, every query with its answers.

        Raises:
            InputError: the file cannot be written.
        """
        from retriever.report.html.page import write_page

        write_page(self, path)

    def write_label_file(
        self, path: str | os.PathLike[str], queries: int = DEFAULT_POOL_QUERIES
    ) -> int:
        """Write the `judgment_pool` as a CSV file to fill in; return its number of documents.

        `read_qrels` reads the graded file.

        Raises:
            InputError: fewer than two systems, or the file exists or cannot be written.
        """
        rows = list(judgment_pool(self, queries))
        write_label_file(path, rows)
        return len(rows)

    def write_runs(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write each run as `folder/NAME.trec`; return the paths.

        In names, `_` replaces white space and characters that no file name can hold.

        Raises:
            InputError: an id does not fit TREC's format, or the folder cannot be written to.
        """
        folder = Path(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{folder} cannot be made: {error.strerror or error}.") from None
        names = {name: _UNFIT.sub("_", name) for name in self.runs}
        if len(set(names.values())) < len(names):
            raise InputError(f"Two of the runs would get one file: {', '.join(names)}.")
        paths = {name: folder / f"{fit}.trec" for name, fit in names.items()}
        for name, run in self.runs.items():
            replace(run, name=names[name]).write(paths[name])
        return list(paths.values())

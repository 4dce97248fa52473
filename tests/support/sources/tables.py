"""One table written in every format that documents are read from."""

import csv
import io
import json
import sqlite3
import warnings

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from openpyxl import Workbook

from indexes.errors import FileNote
from retriever.formats import Reading, read_documents

DELIMITERS = {"commas.csv": ",", "semicolons.csv": ";", "bars.csv": "|", "tabs.tsv": "\t"}


def rows_of(table):
    """Return the rows of a mapping of columns, as mappings."""
    return [dict(zip(table, cells, strict=True)) for cells in zip(*table.values(), strict=True)]


def write_csv(path, table, delimiter=","):
    """Write a table with a header; None is an empty cell."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(table)
    writer.writerows(zip(*table.values(), strict=True))
    path.write_bytes(out.getvalue().encode())
    return path


def write_jsonl(path, table):
    """Write an object per row."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows_of(table)))
    return path


def write_array(path, table):
    """Write one array of objects, indented."""
    path.write_text(json.dumps(rows_of(table), indent=1))
    return path


def write_parquet(path, table):
    """Write a Parquet file."""
    pq.write_table(pa.table(table), path)
    return path


def write_xlsx(path, table, title="Sheet"):
    """Write a workbook of one sheet."""
    book = Workbook()
    book.active.title = title
    book.active.append(list(table))
    for row in zip(*table.values(), strict=True):
        book.active.append(row)
    book.save(path)
    return path


def write_sqlite(path, table, name="items"):
    """Write a database of one table."""
    database = sqlite3.connect(path)
    name = name.replace('"', '""')
    quoted = ", ".join('"' + column.replace('"', '""') + '"' for column in table)
    database.execute(f'CREATE TABLE "{name}" ({quoted})')
    marks = ", ".join("?" * len(table))
    database.executemany(
        f'INSERT INTO "{name}" VALUES ({marks})', zip(*table.values(), strict=True)
    )
    database.commit()
    database.close()
    return path


def every_source(folder, table):
    """Return a table as sources of documents, by what they are called."""
    sources = {name: write_csv(folder / name, table, mark) for name, mark in DELIMITERS.items()}
    sources["semicolons.tsv"] = write_csv(folder / "semicolons.tsv", table, ";")
    sources["a.jsonl"] = write_jsonl(folder / "a.jsonl", table)
    sources["a.json"] = write_array(folder / "a.json", table)
    sources["a.parquet"] = write_parquet(folder / "a.parquet", table)
    sources["a.xlsx"] = write_xlsx(folder / "a.xlsx", table)
    sources["a.db"] = write_sqlite(folder / "a.db", table)
    arrow = pa.table(table)
    sources |= {"table": arrow, "batches": arrow.to_reader(), "batch": arrow.to_batches()[0]}
    sources |= {"pandas": arrow.to_pandas(), "polars": pl.from_arrow(arrow)}
    sources |= {"rows": rows_of(table), "generator": iter(rows_of(table))}
    return sources


def read_quietly(source, **how):
    """Return the documents of a source; notes are ignored."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FileNote)
        return list(read_documents(source, reading=Reading.of(**how)))


def frame(**columns):
    """Return a data frame of pandas."""
    return pd.DataFrame(columns)

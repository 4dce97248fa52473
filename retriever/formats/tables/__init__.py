"""Tables in formats of other programs: Parquet and data frames, spreadsheets, SQLite."""

"""The bad lines of a file, gathered so that all of them are reported at once."""

from __future__ import annotations

from indexes.errors import BadRecord, BadRecordsError

# Enough to see what is wrong; a big file of another format must not fill the memory.
KEPT = 1_000


class Faults:
    """Counts bad records and keeps the first thousand."""

    def __init__(self) -> None:
        self._records: list[BadRecord] = []
        self._total = 0

    def add(self, record: BadRecord) -> None:
        """Take one more."""
        self._total += 1
        if len(self._records) < KEPT:
            self._records.append(record)

    def raise_any(self) -> None:
        """Do nothing if there was none.

        Raises:
            BadRecordsError: names them, in the order they came.
        """
        if self._records:
            advice = "Mend the lines and read the file again."
            raise BadRecordsError(self._records, self._total, advice=advice)

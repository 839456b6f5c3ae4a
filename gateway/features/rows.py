"""Readings in DuckDB: inserted from columns, read back by series and time."""

import duckdb
import numpy as np

from gateway.features.columns import Batch
from gateway.features.recent import Rows
from gateway.features.schema import times

_INSERT_ROWS = 8192


class ReadingInserter:
    """Inserts into ``reading`` from columns that DuckDB knows already.

    To register columns takes 0.25 ms, as long as half the insert; so they are registered once
    and filled anew.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._columns = {
            "time": np.zeros(_INSERT_ROWS, dtype="datetime64[us]"),
            "series": np.zeros(_INSERT_ROWS, dtype=np.int32),
            "value": np.zeros(_INSERT_ROWS, dtype=np.float64),
            "era": np.zeros(_INSERT_ROWS, dtype=np.int32),
        }
        connection.register("reading_columns_", self._columns)

    def insert(self, batch: Batch, mark: int = 0) -> None:
        """Insert a batch's numeric rows, in their order.

        Args:
            batch: The rows.
            mark: What the box's own stamps are marked with.
        """
        for begin in range(0, len(batch.series), _INSERT_ROWS):
            part = slice(begin, begin + _INSERT_ROWS)
            size = len(batch.series[part])
            self._columns["time"][:size] = times(batch.time_ns[part])
            self._columns["series"][:size] = batch.series[part]
            self._columns["value"][:size] = batch.value[part]
            self._columns["era"][:size] = mark * batch.is_stamped[part]
            self._connection.execute(
                f"INSERT INTO reading BY NAME SELECT * FROM reading_columns_ LIMIT {size}"  # noqa: S608 - a number
            )


class StoredRows:
    """Reads the rows of a series from DuckDB."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def close(self) -> None:
        """Read no more: DuckDB opens a file anew only once nobody has it open."""
        self._connection.close()

    def rows(self, series: int, start_ns: int, end_ns: int) -> Rows:
        """Return the rows of a series with start < time <= end, in the order of their times."""
        found = self._connection.execute(
            "SELECT epoch_us(time) AS t, value FROM reading WHERE series = ?"
            " AND time > make_timestamp(?) AND time <= make_timestamp(?) ORDER BY time",
            [series, start_ns // 1000, end_ns // 1000],
        ).fetchnumpy()
        return found["t"].astype(np.int64) * 1000, found["value"].astype(np.float64)

"""SQL over windows, as plugins state their features, and over the whole store, as users ask."""

from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from gateway.errors import GatewayError
from gateway.features.planner import Due
from gateway.features.series import Register

MAX_ROWS = 10_000


class QueryError(GatewayError):
    """A query is refused, or DuckDB could not run it; the text says why."""

    code = "query"


def check_reading_only(statement: str) -> None:
    """Refuse everything but one SELECT (or WITH, DESCRIBE, EXPLAIN, SHOW).

    Raises:
        QueryError: What was given instead.
    """
    try:
        statements = duckdb.extract_statements(statement)
    except duckdb.Error as exc:
        raise QueryError(str(exc)) from exc
    allowed = {duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN}
    if len(statements) != 1:
        raise QueryError(f"one statement is allowed, {len(statements)} were given")
    if statements[0].type not in allowed:
        raise QueryError(f"only reading is allowed, this is {statements[0].type.name}")


def query(
    connection: duckdb.DuckDBPyConnection, statement: str
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Run a user's query.

    Returns:
        Column names, and at most 10,000 rows.

    Raises:
        QueryError: It writes, or it is wrong.
    """
    check_reading_only(statement)
    try:
        found = connection.execute(statement)
        names = [column[0] for column in found.description or []]
        return names, found.fetchmany(MAX_ROWS)
    except duckdb.Error as exc:
        raise QueryError(str(exc)) from exc


class FeatureQuery:
    """Runs a plugin's SELECT over the relation ``window`` for all windows that are due.

    The rows come from the caller, so the plugin's SQL sees the windows and nothing else.
    """

    def __init__(self, register: Register) -> None:
        self._register = register
        self._connection = duckdb.connect(
            config={"threads": 1, "enable_external_access": False, "memory_limit": "256MB"}
        )
        self._series = 0

    def run(
        self, statement: str, due: list[Due], rows: dict[str, NDArray[Any]]
    ) -> tuple[NDArray[np.float32], tuple[str, ...]]:
        """Return float32 [B, F], a row for each window in order, and the features' names.

        A window that the statement gives no row for has NaN in every feature.

        Raises:
            QueryError: DuckDB refuses it, or the result lacks ``source`` or ``end_ns``.
        """
        self._bring_series()
        windows = {
            "w": np.arange(len(due), dtype=np.int32),
            "source": np.array([self._register.sources[d.source] for d in due], dtype=np.str_),
            "end_ns": np.array([d.end_ns for d in due], dtype=np.int64),
        }
        self._connection.register("windows_", windows)
        self._connection.register("rows_", rows)
        try:
            found = self._connection.execute(
                'WITH "window" AS (SELECT source, end_ns, metric, unit, time_ns, value'  # noqa: S608 - a plugin's SQL is its purpose
                " FROM rows_ JOIN windows_ USING (w) JOIN series_ ON series_.id = rows_.series),"
                f" asked_ AS ({statement})"
                " SELECT asked_.* EXCLUDE (source, end_ns), w AS w_"
                " FROM windows_ LEFT JOIN asked_ USING (source, end_ns) ORDER BY w"
            ).fetchnumpy()
        except duckdb.Error as exc:
            raise QueryError(str(exc)) from exc
        finally:
            self._connection.unregister("windows_")
            self._connection.unregister("rows_")
        found.pop("w_")
        columns = [np.ma.filled(np.ma.asarray(c, dtype=np.float32), np.nan) for c in found.values()]
        features = np.stack(columns, axis=1) if columns else np.empty((len(due), 0))
        return features.astype(np.float32), tuple(found)

    def _bring_series(self) -> None:
        series = self._register.series
        if not self._series:
            self._connection.execute(
                "CREATE OR REPLACE TABLE series_ (id INTEGER, metric TEXT, unit TEXT)"
            )
        if self._series == len(series):
            return
        new = series[self._series :]
        self._connection.register(
            "new_",
            {
                "id": np.array([s.number for s in new], dtype=np.int32),
                "metric": np.array([s.channel for s in new], dtype=np.str_),
                "unit": np.array([s.unit or "" for s in new], dtype=np.str_),
            },
        )
        self._connection.execute("INSERT INTO series_ SELECT * FROM new_")
        self._connection.unregister("new_")
        self._series = len(series)

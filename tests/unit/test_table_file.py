from pathlib import Path

import pytest

from gateway.cli.table_file import TableError, read_table


def table(folder: Path, text: str) -> Path:
    file = folder / "t.csv"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_table_is_read_when_any_usual_delimiter_is_used(tmp_path: Path, mark: str) -> None:
    text = "datetime,temp,flow rate,label\n2020-03-01 10:00:00,1.5,2,0\n2020-03-01 10:00:02,,3,1\n"
    read = read_table(table(tmp_path, text.replace(",", mark)), ["label"])
    assert read.columns == ["temp", "flow rate"]
    assert read.seconds == [0.0, 2.0]
    assert read.rows == [[1.5, 2.0], [None, 3.0]]


def test_rows_are_a_second_apart_when_there_is_no_time(tmp_path: Path) -> None:
    read = read_table(table(tmp_path, "\ufeffa,b\n1,2\n3,4\n\n5,6\n"), [])
    assert read.columns == ["a", "b"]
    assert read.seconds == [0.0, 1.0, 2.0]


def test_times_are_seconds_when_they_are_numbers(tmp_path: Path) -> None:
    assert read_table(table(tmp_path, "ts,a\n100.5,1\n101,2\n"), []).seconds == [0.0, 0.5]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "not readable as CSV"),
        ("a,b\n", "no rows below the header"),
        ("time,a\nyesterday,1\n", "line 2: 'yesterday' is not a time"),
        ("a,b\n1,x\n", "line 2: 'x' is not a number; leave its column out with --skip"),
    ],
)
def test_mistake_is_told_with_its_line_when_reading(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(TableError, match=told.replace("(", "\\(")):
        read_table(table(tmp_path, text), [])


def test_missing_file_is_told_when_reading(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="No such file"):
        read_table(tmp_path / "none.csv", [])

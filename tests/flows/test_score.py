"""What `score` reads: the dialect that is declared, the kinds of columns that the model takes."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from flows.score import read_rows
from pipelines.config.sections import Csv, Data


def test_a_small_file_is_read_in_the_dialect_of_its_experiment(tmp_path: Path) -> None:
    file = tmp_path / "new.csv"
    file.write_bytes("name;size\nMüller;1,234\n".encode("cp1252"))
    csv = Csv(delimiter=";", decimal=",", encoding="cp1252")
    data = Data(path="data/a/a.csv", target="size", task="regression", csv=csv)
    rows = read_rows(file, data, ["name"], ["size"])
    assert rows.to_dict("records") == [{"name": "Müller", "size": 1.234}]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_columns_have_the_kinds_that_the_model_takes_whatever_they_look_like(
    tmp_path: Path, suffix: str
) -> None:
    frame = pd.DataFrame({"zip": ["12345", "67890"], "size": ["007", "8"], "open": [True, False]})
    if suffix == ".csv":
        frame.to_csv(tmp_path / "new.csv", index=False)
    else:
        frame.astype({"zip": "int64"}).to_parquet(tmp_path / "new.parquet")
    rows = read_rows(tmp_path / f"new{suffix}", None, ["zip", "open"], ["size"])
    assert rows["zip"].tolist() == ["12345", "67890"]
    assert rows["size"].tolist() == [7, 8]
    assert rows["open"].tolist() == [True, False]


def test_text_that_is_no_number_is_left_for_the_model_to_refuse(tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("a,b\nx,1\n")
    assert read_rows(tmp_path / "new.csv", None, [], ["a", "b"])["a"].tolist() == ["x"]

"""Raw rows that a package accepts."""

from __future__ import annotations

import types

import pandas as pd
import pytest


@pytest.mark.filterwarnings("ignore:.*Any type hint")
def test_a_column_of_numbered_levels_can_be_called_self() -> None:
    from gristmill.pipelines.packaging.package_code import PackagedModel

    model = PackagedModel()
    model._numbered = ["self"]
    model.renamed = types.MethodType(lambda _, rows: rows, model)  # type: ignore[method-assign]
    rows = pd.DataFrame({"self": ["1", "2.0", "x"], "a": [1, 2, 3]})
    assert model._typed(rows)["self"].tolist() == [1.0, 2.0, "x"]
    assert rows["self"].tolist() == ["1", "2.0", "x"]

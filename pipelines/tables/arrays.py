"""Names of array types that several folders use."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Hashes = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]
"""Positions of rows in a table, or of values in a list of levels."""

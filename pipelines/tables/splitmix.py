"""The mixing function of SplitMix64."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""What SplitMix64 adds to its state for each number: 2⁶⁴ over the golden ratio."""


def mix(z: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Scatter 64-bit numbers, in place: equal ones stay equal, others look random.

    Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014. `mix(n · GOLDEN)` is
    number n of the generator that starts at 0.

    Returns:
        The array that was given.
    """
    z += GOLDEN
    shifted = z >> np.uint64(30)
    z ^= shifted
    z *= np.uint64(0xBF58476D1CE4E5B9)
    z ^= np.right_shift(z, np.uint64(27), out=shifted)
    z *= np.uint64(0x94D049BB133111EB)
    z ^= np.right_shift(z, np.uint64(31), out=shifted)
    return z

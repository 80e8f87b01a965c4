"""Imports of the server from which workers for Keras are forked."""

from gristmill.pipelines.base import uncollected

with uncollected():  # 1.1 s of 4.6 s of processor time
    import keras  # noqa: F401
    import tensorflow  # noqa: F401

    import gristmill.pipelines.training.programs
    import gristmill.pipelines.workers.worker  # noqa: F401

"""Imports of the server from which workers for scikit-learn are forked."""

from gristmill.pipelines.base import uncollected

with uncollected():  # 0.3 s of 1.8 s of processor time
    import sklearn.ensemble
    import sklearn.linear_model  # noqa: F401

    import gristmill.pipelines.training.estimators
    import gristmill.pipelines.workers.worker  # noqa: F401

"""Convert a fitted scikit-learn estimator to plain arrays for `predictor`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gristmill.pipelines.training.predictor import Array

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator
    from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor

Described = tuple[dict[str, Any], dict[str, Any]]
"""The description for `predictor` (family, link, …), and the arrays by name."""

LOGARITHMIC = ("PoissonRegressor", "GammaRegressor")
"""Regressors that predict a logarithm."""


def arrays_of(estimator: BaseEstimator, codes: Sequence[int]) -> Described:
    """Return the description and the arrays of a fitted estimator, as `predictor.save` needs them.

    Args:
        estimator: one of `ESTIMATORS`, fitted on the result of `predictor.columns`.
        codes: the argument of `predictor.columns`.
    """
    describe = next(describe for mark, describe in MARKS.items() if hasattr(estimator, mark))
    about, arrays = describe(estimator)
    return {**about, "codes": list(codes), "estimator": type(estimator).__name__}, arrays


def _linear(estimator: BaseEstimator) -> Described:
    coefficients = np.atleast_2d(np.asarray(estimator.coef_, dtype=np.float64))
    intercepts = np.zeros(len(coefficients)) + estimator.intercept_
    about = {"family": "linear", "link": _linear_link(estimator)}
    return about, {"coefficients": coefficients, "intercepts": intercepts}


def _linear_link(estimator: BaseEstimator) -> str:
    name = type(estimator).__name__
    if name == "TweedieRegressor":
        logarithmic = estimator.link == "log" or (estimator.link == "auto" and estimator.power > 0)
        return "exp" if logarithmic else "identity"
    if not hasattr(estimator, "classes_"):
        return "exp" if name in LOGARITHMIC else "identity"
    if name == "SGDClassifier":
        links = {"log_loss": "one_vs_rest", "modified_huber": "modified_huber"}
        return links.get(estimator.loss, "chosen")
    if not hasattr(estimator, "predict_proba"):
        return "chosen"
    return "logistic" if len(estimator.classes_) == 2 else "softmax"


def _network(estimator: BaseEstimator) -> Described:
    weights = {f"weights_{place}": each for place, each in enumerate(estimator.coefs_)}
    biases = {f"biases_{place}": each for place, each in enumerate(estimator.intercepts_)}
    about = {"family": "network", "layers": len(weights), "activation": estimator.activation}
    return {**about, "link": estimator.out_activation_}, weights | biases


def _gaussian(estimator: BaseEstimator) -> Described:
    arrays = {"means": estimator.theta_, "variances": estimator.var_}
    return {"family": "gaussian", "link": "softmax"}, {**arrays, "priors": estimator.class_prior_}


@dataclass(frozen=True)
class _Tree:
    """A decision tree; the root is node 0, and a leaf's children are −1.

    Attributes:
        left, right, feature, threshold: (n_nodes,).
        value: (n_nodes, n_values) prediction at each node.
        depth: depth of the deepest leaf.
        output: the output column that the node's first value is added to; −1 adds all values to
            all columns.
    """

    left: Array
    right: Array
    feature: Array
    threshold: Array
    value: Array
    depth: int
    output: int = -1


def _tree(estimator: BaseEstimator, output: int = -1) -> _Tree:
    nodes = estimator.tree_
    sides = nodes.children_left, nodes.children_right
    return _Tree(
        *sides, nodes.feature, nodes.threshold, nodes.value[:, 0, :], nodes.max_depth, output
    )


def _binned(predictor: TreePredictor, output: int) -> _Tree:
    """Convert a tree of histogram gradient boosting; its values include the learning rate."""
    nodes = predictor.nodes
    left, right = (
        np.where(nodes["is_leaf"], -1, nodes[side].astype(np.int64)) for side in ("left", "right")
    )
    depth, value = int(nodes["depth"].max()), nodes["value"][:, None]
    return _Tree(left, right, nodes["feature_idx"], nodes["num_threshold"], value, depth, output)


def _mean_of_trees(estimator: BaseEstimator) -> Described:
    trees = [_tree(each) for each in getattr(estimator, "estimators_", [estimator])]
    return _forest(trees, "identity", np.zeros(trees[0].value.shape[1]), count=len(trees))


def _boosted(estimator: BaseEstimator) -> Described:
    stages = estimator.estimators_
    trees = [_tree(each, output) for stage in stages for output, each in enumerate(stage)]
    columns = estimator.n_features_in_
    base = estimator._raw_predict_init(np.zeros((1, columns), np.float32)).ravel()
    rate = float(estimator.learning_rate)
    if not hasattr(estimator, "classes_"):
        return _forest(trees, "identity", base, rate)
    if estimator.loss == "exponential":  # half of the odds' logarithm
        return _forest(trees, "logistic", 2 * base, 2 * rate)
    return _forest(trees, _boosted_link(base), base, rate)


def _boosted_on_bins(estimator: BaseEstimator) -> Described:
    trees = [
        _binned(each, output)
        for stage in estimator._predictors
        for output, each in enumerate(stage)
    ]
    base = estimator._baseline_prediction.ravel()
    if hasattr(estimator, "classes_"):
        return _forest(trees, _boosted_link(base), base)
    logarithmic = estimator.loss in ("poisson", "gamma")
    return _forest(trees, "exp" if logarithmic else "identity", base)


def _boosted_link(base: Array) -> str:
    return "logistic" if len(base) == 1 else "softmax"


def _forest(
    trees: Sequence[_Tree], link: str, base: Array, rate: float = 1.0, count: int = 1
) -> Described:
    """Concatenate the nodes of all trees; node numbers count from the first node of the first."""
    sizes = np.array([len(tree.left) for tree in trees])
    roots = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    own = np.arange(sizes.sum())
    start = np.repeat(roots, sizes)

    def joined(part: str) -> Array:
        return np.concatenate([getattr(tree, part) for tree in trees])

    def children(part: str) -> Array:
        side = joined(part).astype(np.int64)
        return np.where(side < 0, own, side + start).astype(np.int32)

    arrays = {
        "left": children("left"),
        "right": children("right"),
        "feature": np.maximum(joined("feature"), 0).astype(np.int32),
        "threshold": joined("threshold").astype(np.float64),
        "value": joined("value").astype(np.float64),
        "root": roots.astype(np.int64),
        "depth": np.array([tree.depth for tree in trees]),
        "output": np.array([tree.output for tree in trees]),
        "base": np.asarray(base, dtype=np.float64),
    }
    return {"family": "trees", "link": link, "rate": rate, "trees": count}, arrays


MARKS: dict[str, Callable[[BaseEstimator], Described]] = {
    "_predictors": _boosted_on_bins,
    "init_": _boosted,
    "tree_": _mean_of_trees,
    "estimators_": _mean_of_trees,
    "coefs_": _network,
    "theta_": _gaussian,
    "coef_": _linear,
}
"""Converters by an attribute that only fitted estimators of that kind have; first match wins."""

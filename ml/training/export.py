"""A boosted forest of XGBoost as an ONNX graph: tree ensemble, base scores, temperature, softmax.

The graph holds the calibration, so the hash of the file covers all that turns features into probabilities.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper
from xgboost import Booster

IR_VERSION = 9
OPSETS = {"": 17, "ai.onnx.ml": 3}


def to_onnx(booster: Booster, features: list[str], classes: int, temperature: float) -> bytes:
    """Return the ONNX file of a ``multi:softprob`` booster.

    Parameters
    ----------
    booster
        The forest; trees of numeric splits only, as ``gbtree`` grows them without categories.
    features
        Names of the inputs, in order; kept as metadata.
    classes
        Number of classes.
    temperature
        Divisor of the scores.

    Returns
    -------
    bytes
        Input ``features`` float32 (rows, inputs), output ``probabilities`` float32 (rows, classes).
    """
    learner = json.loads(booster.save_raw("json"))["learner"]
    forest = learner["gradient_booster"]["model"]
    base = np.broadcast_to(_base_scores(learner["learner_model_param"]["base_score"]), (classes,)).astype(np.float32)
    trees = helper.make_node(
        "TreeEnsembleRegressor",
        ["features"],
        ["sums"],
        domain="ai.onnx.ml",
        n_targets=classes,
        aggregate_function="SUM",
        post_transform="NONE",
    )
    trees.attribute.extend(
        helper.make_attribute(name, values) for name, values in _attributes(forest["trees"], forest["tree_info"]).items()
    )
    nodes = [
        trees,
        helper.make_node("Add", ["sums", "base"], ["scores"]),
        helper.make_node("Div", ["scores", "temperature"], ["tempered"]),
        helper.make_node("Softmax", ["tempered"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "boosted_forest",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, len(features)])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, classes])],
        [
            helper.make_tensor("base", TensorProto.FLOAT, [classes], base.tolist()),
            helper.make_tensor("temperature", TensorProto.FLOAT, [1], [temperature]),
        ],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid(domain, version) for domain, version in OPSETS.items()], ir_version=IR_VERSION
    )
    helper.set_model_props(model, {"features": ",".join(features)})
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _base_scores(text: str) -> list[float]:
    """Return the base scores: one number in older files, one for each class since XGBoost 3.1."""
    value = json.loads(text)
    return [float(item) for item in value] if isinstance(value, list) else [float(value)]


def _attributes(trees: list[dict[str, Any]], classes_of: list[int]) -> dict[str, list[Any]]:
    """Return the node and leaf columns of ONNX's tree ensemble; a row goes left where its value is less than the split's."""
    out: dict[str, list[Any]] = {
        name: []
        for name in (
            "nodes_treeids",
            "nodes_nodeids",
            "nodes_featureids",
            "nodes_modes",
            "nodes_values",
            "nodes_truenodeids",
            "nodes_falsenodeids",
            "nodes_missing_value_tracks_true",
            "target_treeids",
            "target_nodeids",
            "target_ids",
            "target_weights",
        )
    }
    for tree_id, (tree, target) in enumerate(zip(trees, classes_of, strict=True)):
        for node, left in enumerate(tree["left_children"]):
            leaf = left < 0
            out["nodes_treeids"].append(tree_id)
            out["nodes_nodeids"].append(node)
            out["nodes_featureids"].append(0 if leaf else tree["split_indices"][node])
            out["nodes_modes"].append("LEAF" if leaf else "BRANCH_LT")
            out["nodes_values"].append(0.0 if leaf else tree["split_conditions"][node])
            out["nodes_truenodeids"].append(0 if leaf else left)
            out["nodes_falsenodeids"].append(0 if leaf else tree["right_children"][node])
            out["nodes_missing_value_tracks_true"].append(0 if leaf else tree["default_left"][node])
            if leaf:
                out["target_treeids"].append(tree_id)
                out["target_nodeids"].append(node)
                out["target_ids"].append(target)
                out["target_weights"].append(tree["split_conditions"][node])
    return out

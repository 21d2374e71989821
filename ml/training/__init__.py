"""From bars to an artefact: rows, purged split, XGBoost, calibration, measurement, ONNX."""

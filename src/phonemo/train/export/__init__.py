"""A trained model as a bundle: ONNX, int8, and the check against torch."""

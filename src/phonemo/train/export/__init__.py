"""Export of trained models as bundles: ONNX, int8, and comparison with torch."""

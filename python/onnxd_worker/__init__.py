"""onnxd's worker for scikit-learn, PyTorch and TensorFlow models (docs/worker-protocol.md)."""

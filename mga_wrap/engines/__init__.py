"""Networks in onnxruntime and OpenVINO: Base-Net with score, and Refine-Net, as graphs of their own."""

"""`python3 -m onnxd_worker`."""

from onnxd_worker.serve import main

main()

"""Entry of the packed worker: `python3 worker.zip`, or this folder itself in the source tree."""

from onnxd_worker.serve import main

main()

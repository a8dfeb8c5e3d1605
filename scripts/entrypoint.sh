#!/bin/sh
# entrypoint.sh: what a container runs. Its arguments are onnxd's: `serve`, as SageMaker passes it and
# as the image has it by default, another command, or flags. The server takes this shell's place, so
# that it gets the signals; nothing is written, and any user may run it.
set -eu

case "${1:-serve}" in
train)
    echo "entrypoint.sh: this image serves models, it does not train them" >&2
    exit 2
    ;;
esac
exec onnxd "$@"

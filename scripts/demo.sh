#!/usr/bin/env bash
# demo.sh: starts the built server on a free port with the example model, sends three requests, prints
# each with its answer, and stops the server.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly model=examples/models/iris_logistic_regression
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
readonly url=http://127.0.0.1:$port
log=$(mktemp)

stop_server() {
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    rm -f "$log"
}

wait_until_ready() {
    local tries
    for ((tries = 0; tries < 100; tries++)); do
        if curl -sf -o /dev/null "$url/ready"; then return; fi
        kill -0 "$server" 2>/dev/null || break
        sleep 0.1
    done
    echo "the server did not become ready:" >&2
    cat "$log" >&2
    exit 1
}

# Prints the command as a reader would paste it, then runs it.
show() { # show COMMAND ARGUMENT...
    local word line='$'
    for word in "$@"; do
        case "$word" in *[!A-Za-z0-9_./:-]*) line+=" '$word'" ;; *) line+=" $word" ;; esac
    done
    printf '\n%s\n' "$line"
    "$@" || { echo "the request failed" >&2; exit 1; }
    echo
}

HOST=127.0.0.1 PORT=$port GRPC_HOST=127.0.0.1 GRPC_PORT=0 build/onnxd serve "$model" >"$log" 2>&1 &
server=$!
trap stop_server EXIT
wait_until_ready
echo "onnxd serves $model on port $port"

show curl -sSf -w 'HTTP %{http_code}' "$url/ping"
show curl -sSf "$url/invocations" -H 'Content-Type: application/json' \
    -d '{"instances": [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]}'
show curl -sSf "$url/invocations" -H 'Content-Type: text/csv' -H 'Accept: text/csv' \
    --data-binary $'5.1,3.5,1.4,0.2\n6.7,3.0,5.2,2.3\n'

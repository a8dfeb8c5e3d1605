# shellcheck shell=bash disable=SC2034
# Shared by the set-up scripts; sourced by bash, never run. Sets $root (the tree's top) and the
# distribution's identity, and reports in one voice.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

say()  { printf 'setup: %s\n' "$*" >&2; }
die()  { printf 'setup: error: %s\n' "$*" >&2; exit 1; }

os_field() { # os_field NAME: one field of os-release, unquoted
    sed -n "s/^$1=\"\{0,1\}\([^\"]*\)\"\{0,1\}\$/\1/p" /etc/os-release | head -n 1
}

# True where the distribution itself has llhttp, yyjson, the ONNX Runtime header and the OTLP protos.
distro_has_native_libraries() {
    case "$(os_field ID)" in
    debian)
        # testing and unstable have no VERSION_ID
        [ -z "$(os_field VERSION_ID)" ] || dpkg --compare-versions "$(os_field VERSION_ID)" ge 13 ;;
    ubuntu) dpkg --compare-versions "$(os_field VERSION_ID)" ge 25.10 ;;
    *) return 1 ;;
    esac
}

# Debian 12 borrows those four from this suite (deps.lock says which versions).
readonly borrowed_suite=trixie

needs_borrowed_packages() {
    [ "$(os_field ID)" = debian ] && [ "$(os_field VERSION_ID)" = 12 ]
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo --preserve-env=DEBIAN_FRONTEND "$@"; fi
}

# The distribution's own Python: the one python3-venv belongs to.
host_python() { if [ -x /usr/bin/python3 ]; then echo /usr/bin/python3; else command -v python3; fi; }

# One hash over what a result was made from: files by content, everything else by value.
fingerprint() { # fingerprint FILE...
    { cat "$@"; cat /etc/os-release; uname -m; } | sha256sum | cut -d ' ' -f 1
}

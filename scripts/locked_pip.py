"""Runs pip on a hash-locked requirements file and puts a failure into one clear line."""

import re
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parent.parent / "requirements"

# pip names the file, then "Expected sha256 A", any number of "Expected or B", and "Got C".
WRONG_HASH = re.compile(
    r"^ *(\S+) from [^\n]*\n *Expected sha256 +(\w+)((?:\s+Expected +or +\w+)*)\s+Got +(\w+)", re.M
)


def fail(message):
    sys.exit(f"setup: error: {message}")


def run_locked_pip(python, verb, lock, *options):
    """Runs `pip VERB` of the interpreter `python` on requirements/LOCK: wheels only, hashes required."""
    command = [python, "-m", "pip", verb, "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--require-hashes", "--only-binary=:all:", *options, "--requirement", REQUIREMENTS / lock]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode == 0:
        return
    wrong = WRONG_HASH.search(done.stdout)
    if wrong is None:
        fail(f"pip {verb} of requirements/{lock} failed:\n{done.stdout}")
    name, expected, others, got = wrong.groups()
    if others:
        expected += f" (or {len(others.split()) // 3} more of that version)"
    fail(f"{name}: wrong SHA-256: requirements/{lock} expects {expected}, the download has {got}")

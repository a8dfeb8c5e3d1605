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


def _run_pip(python, verb, *options):
    command = [python, "-m", "pip", verb, "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", *options]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def run_build_pip(python, builds):
    """Installs requirements/BUILDS by version: wheels only, no hashes, nothing that they ask for.

    Each package is imported then: a build for other hardware shows only there.
    """
    done = _run_pip(python, "install", "--requirement", REQUIREMENTS / builds)
    if done.returncode != 0:
        fail(f"pip install of requirements/{builds} failed:\n{done.stdout}")
    for package in re.findall(r"^([\w-]+)==", (REQUIREMENTS / builds).read_text(), re.M):
        done = subprocess.run(
            [python, "-I", "-c", f"import {package}"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        if done.returncode != 0:
            fail(f"{done.stdout.strip()}\n{package} cannot be loaded; requirements/{builds} says which build to take")


def run_locked_pip(python, verb, lock, *options):
    """Runs `pip VERB` of the interpreter `python` on requirements/LOCK: wheels only, hashes required."""
    done = _run_pip(python, verb, "--require-hashes", *options, "--requirement", REQUIREMENTS / lock)
    if done.returncode == 0:
        return
    wrong = WRONG_HASH.search(done.stdout)
    if wrong is None:
        fail(f"pip {verb} of requirements/{lock} failed:\n{done.stdout}")
    name, expected, others, got = wrong.groups()
    if others:
        expected += f" (or {len(others.split()) // 3} more of that version)"
    fail(f"{name}: wrong SHA-256: requirements/{lock} expects {expected}, the download has {got}")

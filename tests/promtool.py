"""promtool, the checker that comes with Prometheus, where it is installed."""

import shutil
import subprocess

import pytest

PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool (of the package prometheus) is not installed")


def promtool(*arguments, text=None):
    """What it says; fails the test where it finds anything wrong."""
    done = subprocess.run([PROMTOOL, *map(str, arguments)], input=text, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr

"""The README's table of settings is the one the program prints, and so is the schema's list."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("ONNXD_BUILD_DIR", ROOT / "build")) / "onnxd"
SCRIPT = ROOT / "scripts" / "gen-settings-table"
ROW = re.compile(r"^\| `([A-Z0-9_]+)`.*\| (yes|no) \| [^|]+ \|$", re.MULTILINE)


@pytest.fixture(scope="module")
def table():
    result = subprocess.run([BINARY, "settings", "--markdown"], capture_output=True, text=True, timeout=30)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_readme_holds_the_table(table):
    environment = {**os.environ, "ONNXD_BUILD_DIR": str(BINARY.parent)}
    result = subprocess.run([SCRIPT, "--check"], env=environment, capture_output=True, text=True, timeout=30)
    assert result.returncode == 0, result.stderr
    assert table.strip() in (ROOT / "README.md").read_text()


def test_every_row_is_whole(table):
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    assert len(rows) > 70
    assert len(ROW.findall(table)) == len(rows)


def test_schema_knows_the_settings_of_a_manifest(table):
    schema = json.loads((ROOT / "docs" / "manifest.schema.json").read_text())
    allowed = {name for name, manifest in ROW.findall(table) if manifest == "yes"}
    assert set(schema["properties"]["settings"]["properties"]) == allowed


def test_help_has_a_flag_for_every_row(table):
    result = subprocess.run([BINARY, "serve", "--help"], capture_output=True, text=True, timeout=30)
    assert result.returncode == 0
    flags = set(re.findall(r"^  --([a-z0-9-]+)", result.stdout, re.MULTILINE))
    assert {name.lower().replace("_", "-") for name, _ in ROW.findall(table)} <= flags

"""The house's rules for .github/: prints one line a breach, file first, and fails when there is one.

An action is pinned to a commit whose tag stands beside it; a workflow has no permissions that a job of
it does not name, and replaces its own older run; a job has a time limit; and what a step runs is one
command, so that whatever CI does can be done by hand.
"""

import re
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v[0-9][\w.]*|\./\.github/actions/[\w-]+")
USES = re.compile(r"\buses: *(.*)")


def check_pins(text):
    for match in USES.finditer(text):
        if not PINNED.fullmatch(match[1].strip()):
            yield f"not pinned as owner/name@COMMIT # vTAG: {match[1]}"


def check_steps(steps, where):
    for step in steps:
        command = step.get("run", "").strip()
        if "\n" in command or ";" in command or "&&" in command:
            yield f"{where}: a step runs more than one command: {command.splitlines()[0]}"


def check_workflow(workflow):
    if workflow.get("permissions") != {}:
        yield "permissions: {} is missing at its top"
    if "group" not in workflow.get("concurrency", {}):
        yield "no concurrency group"
    for name, job in workflow["jobs"].items():
        if "timeout-minutes" not in job:
            yield f"{name}: no timeout-minutes"
        if not job.get("permissions"):
            yield f"{name}: no permissions of its own"
        yield from check_steps(job.get("steps", []), name)


def check(path):
    text = path.read_text()
    document = yaml.safe_load(text)
    yield from check_pins(text)
    if path.parent.name == "workflows":
        yield from check_workflow(document)
    else:
        yield from check_steps(document["runs"]["steps"], "runs")


def main():
    files = sorted([*ROOT.glob(".github/workflows/*.yml"), *ROOT.glob(".github/actions/*/action.yml")])
    found = [f"{path.relative_to(ROOT)}: {breach}" for path in files for breach in check(path)]
    print("\n".join(found) or f"{len(files)} files of .github/ keep the rules")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()

"""The house's rules for .github/: prints one line a breach, file first, and fails when there is one.

An action is pinned to a commit whose tag stands beside it; a workflow has no permissions that a job of
it does not name, and replaces its own older run; a job has a time limit; and what a step runs is one
command, or targets of the Makefile, so that whatever CI does can be done by hand.
"""

import re
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v[0-9][\w.]*|\./\.github/actions/[\w-]+")
USES = re.compile(r"\buses: *(.*)")
TARGETS = re.compile(r"^([a-z][a-z0-9 -]*):(?!=)", re.M)
VARIABLE = re.compile(r"\b[A-Z_]+=(\${{.*?}}|\S*)")
MATRIX = re.compile(r"\${{ *matrix\.([\w-]+) *}}")


def check_pins(text):
    for match in USES.finditer(text):
        if not PINNED.fullmatch(match[1].strip()):
            yield f"not pinned as owner/name@COMMIT # vTAG: {match[1]}"


def check_steps(steps, where):
    for step in steps:
        command = step.get("run", "").strip()
        if "\n" in command or ";" in command or "&&" in command:
            yield f"{where}: a step runs more than one command: {command.splitlines()[0]}"


def makefile_targets():
    texts = [(ROOT / name).read_text() for name in ("Makefile", "container/containers.mk")]
    return {word for text in texts for words in TARGETS.findall(text) for word in words.split()}


def targets_of(step, matrix):
    """What `targets:` of a step names, a matrix's values put in."""
    text = VARIABLE.sub("", str(step.get("with", {}).get("targets", "")))
    found = MATRIX.search(text)
    if found is None:
        return text.split()
    name = found[1]
    values = [*matrix.get(name, []), *(more[name] for more in matrix.get("include", []) if name in more)]
    return [word for value in values for word in MATRIX.sub(str(value), text).split()]


def check_targets(job, where):
    matrix = job.get("strategy", {}).get("matrix", {})
    known = makefile_targets()
    for step in job.get("steps", []):
        for word in targets_of(step, matrix):
            if word not in known:
                yield f"{where}: the Makefile has no target {word}"


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
        yield from check_targets(job, name)


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

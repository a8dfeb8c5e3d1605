"""Containers on this machine: which command, which base image, what its kernel allows."""

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PREFIX = f"onnxd-test-{os.getpid()}"  # the user's own images, and those of another run, stay as they are
LABEL = f"{PREFIX}=1"
STEP = re.compile(r"^(?:\[\d+/\d+\] )?STEP \d+/\d+: (.*)$")
CACHED = re.compile(r"^--> Using cache ")


class Failed(AssertionError):
    """A step's finding, in a few lines."""


def run(*command, cwd=None, check=True, env=None, timeout_s=1800):
    """A command to its end; output and errors together, as text."""
    done = subprocess.run([str(word) for word in command], cwd=cwd, env={**os.environ, **(env or {})}, text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=timeout_s)
    if check and done.returncode != 0:
        lines = done.stdout.splitlines()
        # A build's last lines say that it failed; the tests that failed stand before them.
        causes = [line for line in lines[:-30] if re.search(r"\*\*\*(Failed|Timeout)|\((Failed|Timeout)\)|^FAILED ", line)]
        tail = "\n".join([*causes, *lines[-30:]])
        raise Failed(f"exit code {done.returncode} of {' '.join(map(str, command))}\n{tail}")
    return done


class Machine:
    """The container command and the variables that make needs here."""

    def __init__(self):
        self.command = os.environ.get("CONTAINER_COMMAND") or (shutil.which("podman") and "podman") or "docker"
        self.is_podman = "podman" in self.command
        self.ca_bundle = os.environ.get("CA_BUNDLE", "")
        self.variables = []
        self.tree = Path(tempfile.mkdtemp(prefix="onnxd-containers-"))

    def copy_tree(self):
        """The checkout's files in a folder of their own, which steps may change."""
        listing = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT).stdout
        names = [name for name in listing.split("\0") if name and (ROOT / name).exists()]
        for name in names:
            target = self.tree / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target, follow_symlinks=False)

    def choose_base(self):
        """The pinned base where a registry can be reached, else one of debootstrap's."""
        pinned = dict(line.split("=", 1) for line in (ROOT / "container/digests.env").read_text().splitlines()
                      if re.match(r"[A-Z_]+=", line))
        name = f"{pinned['BASE_IMAGE']}@{pinned['BASE_DIGEST']}"
        if run(self.command, "pull", name, check=False, timeout_s=300).returncode == 0:
            base = name
        else:
            suite = "trixie"
            run(ROOT / "scripts/local-base", suite, env={"CONTAINER_COMMAND": self.command})
            base = f"localhost/onnxd-local-base:{suite}"
            self.variables = [f"BASE_IMAGE={base}", "BASE_DIGEST="]
        return base

    def choose_limits(self, base):
        """Where a container does not run as it is, as inside another one, the restricted settings."""
        if not self.is_podman or run(self.command, "run", "--rm", base, "true", check=False).returncode == 0:
            return "containers run as they are"
        os.environ["CONTAINERS_CONF"] = str(self.tree / "container/restricted.conf")
        os.environ["BUILDAH_ISOLATION"] = "chroot"
        run(self.command, "run", "--rm", base, "true")
        return "containers run with container/restricted.conf"

    def choose_certificates(self):
        """A bundle of the system that holds more than the distribution's own: of a proxy that opens TLS."""
        bundle = Path("/etc/ssl/certs/ca-certificates.crt")
        if not self.ca_bundle and bundle.exists() and any(Path("/usr/local/share/ca-certificates").glob("**/*.crt")):
            self.ca_bundle = str(bundle)
        if self.ca_bundle:
            self.variables.append(f"CA_BUNDLE={self.ca_bundle}")

    @contextlib.contextmanager
    def changed(self, name, change):
        """A file of the tree with another text for a while. Then it is what it was, to the time that it
        bears, so that what was built of it before comes from the cache."""
        path = self.tree / name
        text, stat = path.read_text(), path.stat()
        path.write_text(change(text))
        try:
            yield
        finally:
            path.write_text(text)
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    def make(self, target, *variables, check=True):
        """`make TARGET` in the copied tree: (the finished command, seconds)."""
        started = time.monotonic()
        done = run("make", "--no-print-directory", target, *self.make_variables(), *variables, cwd=self.tree, check=check)
        return done, time.monotonic() - started

    def make_variables(self):
        """The same for every build of a run, or none would come from the cache: a label is part of an image."""
        return [f"PREFIX={PREFIX}", f"CONTAINER_COMMAND={self.command}", "REVISION=test",
                f"CONTAINER_BUILD_FLAGS=--label={LABEL}", *self.variables]

    def build_flags(self):
        """What make gives to every build, for builds without make."""
        flags = [f"--label={LABEL}", *(["--format=docker"] if self.is_podman else [])]
        return [*flags, f"--secret=id=ca,src={self.ca_bundle}"] if self.ca_bundle else flags

    def build(self, dockerfile, tag, *options):
        return run(self.command, "build", *self.build_flags(), *options, "--file", dockerfile, "--tag", tag, ".", cwd=self.tree)

    def inspect(self, image, template):
        return run(self.command, "image", "inspect", f"{PREFIX}/{image}", "--format", template).stdout.strip()

    def size_mb(self, image):
        return int(self.inspect(image, "{{.Size}}")) / 1e6

    def shell(self, image, script, *options):
        """What a shell script prints in a container of `image`, as root."""
        return run(self.command, "run", "--rm", "--no-healthcheck", "--user=0", *options, "--entrypoint=/bin/sh",
                   f"{PREFIX}/{image}", "-c", script).stdout

    def clean(self):
        names = run(self.command, "images", "--format", "{{.Repository}}:{{.Tag}}", check=False).stdout.split()
        for name in names:
            if f"{PREFIX}/" in name or f"{PREFIX}-" in name:
                run(self.command, "image", "rm", "--force", name, check=False)
        run(self.command, "image", "prune", "--force", f"--filter=label={LABEL}", check=False)

    def done(self):
        shutil.rmtree(self.tree, ignore_errors=True)


def cached_steps(output):
    """{dockerfile: [(step, whether it came from the cache)]} of podman's report of one or more builds."""
    builds, current, steps = {}, None, None
    for line in output.splitlines():
        started = re.search(r"--file (\S+)", line)
        if started:
            current = Path(started[1]).name
            steps = builds.setdefault(current, [])
        step = STEP.match(line)
        if step and steps is not None:
            steps.append([step[1], False])
        elif CACHED.match(line) and steps:
            steps[-1][1] = True
    return builds


def rebuilt(output):
    """The Dockerfiles of a report of which a step that makes files was made anew, with the first such step."""
    found = {}
    for dockerfile, steps in cached_steps(output).items():
        for step, cached in steps:
            if not cached and step.split()[0] in ("RUN", "COPY"):
                found.setdefault(dockerfile, step)
    return found

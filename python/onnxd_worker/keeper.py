"""The keeper: a small process that ends this worker's whole process group when onnxd has been killed.

onnxd ends a worker and what it has started as a group. Where onnxd itself is killed nobody does: the kernel
then ends the worker (PR_SET_PDEATHSIG), but neither the processes of joblib nor those of a data loader.
"""

import os
import select
import signal
import stat
import sys

LOG_FD = 2  # a pipe that onnxd alone reads: without onnxd it has no reader
OTHER_FDS = (0, 1, 3, 4, 5, 6)  # all else that a worker is started with


def start():
    """Forks it: to be called before there are threads. No child of ours, so that nobody waits for it by mistake."""
    if not started_by_onnxd():
        return
    try:
        between = os.fork()
    except OSError as problem:
        complain(problem)
        return
    if between == 0:
        code = 1
        try:
            code = fork_again()
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(between, 0)[1])
    if code != 0:
        complain(os.strerror(code))


def started_by_onnxd():
    """By hand the group may be another's, and a log that is no pipe never tells of an end: a keeper would stay."""
    return os.getpgrp() == os.getpid() and stat.S_ISFIFO(os.fstat(LOG_FD).st_mode)


def complain(problem):
    print(f"worker: no keeper: what the model starts may outlive a killed onnxd: {problem}", file=sys.stderr)


def fork_again():
    """In the process between; 0, or the number of the error. The keeper itself never comes back."""
    try:
        if os.fork() == 0:
            keep()
    except OSError as problem:
        return problem.errno
    return 0


def keep():
    """Waits for onnxd's end. A group that onnxd ends itself has the keeper in it."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    for descriptor in OTHER_FDS:
        try:
            os.close(descriptor)
        except OSError:
            pass  # 6 is open only for onnxd's own program
    end = select.poll()
    end.register(LOG_FD, 0)  # an error of the pipe is always told
    end.poll()
    os.killpg(0, signal.SIGKILL)

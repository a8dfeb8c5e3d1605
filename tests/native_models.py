"""Native models for tests: scikit-learn's, trained on the spot, and one that misbehaves when told to.

Pickles are bound to the library that made them, so none is kept in the repository.
"""

import pathlib
import pickle
import sys

PYTHON = sys.executable  # the tests' own environment has scikit-learn

# A model whose rows say what it is to do: [command, number]. It answers the number.
MISBEHAVING = '''\
import os
import sys
import time

import numpy as np

ANSWER, DIE, HANG, RAISE, REFUSE, PRINT, LEAK, PID, SLEEP, EXIT, ENVIRONMENT, CHILD = range(100, 112)  # not what a trial makes up
leaked = []


def environment_facts():
    """What a worker should not have: variables, descriptors, privileges."""
    status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines())
    descriptors = [os.readlink(entry) for entry in map("/proc/self/fd/{}".format, range(20)) if os.path.exists(entry)]
    print("FACTS variables", *sorted(os.environ), flush=True)
    print("FACTS descriptors", *(link.replace(" (deleted)", "").split("[")[0] for link in descriptors), flush=True)
    print("FACTS capabilities", status["CapEff"], status["CapPrm"], status["CapBnd"], flush=True)
    print("FACTS new privileges", status["NoNewPrivs"], flush=True)


class Misbehaving:
    n_features_in_ = 2

    def predict(self, rows):
        rows = np.asarray(rows, dtype=float)
        for command, number in rows:
            self.obey(int(command), number)
        return np.array([self.find_answer(int(command), number) for command, number in rows])

    def find_answer(self, command, number):
        if command == PID:
            return os.getpid()
        if command == CHILD:
            return os.posix_spawnp("sleep", ["sleep", "3600"], os.environ)
        return number

    def obey(self, command, number):
        if command == DIE:
            os._exit(3)
        elif command == HANG:
            time.sleep(3600)
        elif command == SLEEP:
            time.sleep(number)
        elif command == RAISE:
            raise OSError("the disk of the model is on fire")
        elif command == REFUSE:
            raise ValueError("rows of this kind cannot be judged")
        elif command == PRINT:
            print("words of the model", number, flush=True)
            print("complaint of the model", number, file=sys.stderr, flush=True)
        elif command == LEAK:
            leaked.append(np.ones(int(number) << 17))  # MiB
        elif command == EXIT:
            sys.exit(5)
        elif command == ENVIRONMENT:
            environment_facts()
'''

ANSWER, DIE, HANG, RAISE, REFUSE, PRINT, LEAK, PID, SLEEP, EXIT, ENVIRONMENT, CHILD = range(100, 112)


def make_misbehaving(directory):
    """A model directory: model.pkl, and its class where workers look for such code. The directory."""
    directory = pathlib.Path(directory)
    (directory / "code").mkdir(parents=True)
    (directory / "code/misbehaving.py").write_text(MISBEHAVING)
    # The class is not imported here: a pickle names its module and class, no more.
    text = b"cmisbehaving\nMisbehaving\n)\x81."
    (directory / "model.pkl").write_bytes(pickle.PROTO + b"\x02" + text)
    return directory


def iris():
    from sklearn.datasets import load_iris

    return load_iris(return_X_y=True)


def train_forest(trees=10):
    from sklearn.ensemble import RandomForestClassifier

    rows, labels = iris()
    return RandomForestClassifier(n_estimators=trees, random_state=7).fit(rows, labels)


def save(model, directory, name="model.joblib"):
    """The directory."""
    import joblib

    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, directory / name)
    return directory

"""Models for tests of the server itself: the same echo on the real runtime and on the test double.

Such tests take the `backend` fixture and run twice; the run on onnxd-fake carries the marker
`fake_backend`, and with it ThreadSanitizer sees the whole program.
"""

import pathlib

QUESTION = [[1, 2]]
ANSWER = [[1.0, 2.0]]
# What float32 cannot be told apart from by accident, and no probe of a fresh model makes up.
POISON = 666

FAKE_ECHO = """\
input = x float32 [N, 2]
output = y float32 [N, 2] echo x
"""


def fake_model(directory, text=FAKE_ECHO, **settings):
    """Writes a model of the test double (src/backend/fake.c) and returns its directory."""
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    lines = [text.rstrip("\n"), *(f"{key} = {value}" for key, value in settings.items())]
    (directory / "model.fake").write_text("\n".join(lines) + "\n")
    return directory


class Backend:
    """Where a test's servers come from: get(model, fake=..., env=..., ...) makes or finds one."""

    def __init__(self, name, get, directory):
        self.name = name
        self.is_fake = name == "fake"
        self.get = get
        self.directory = directory

    def model(self):
        return fake_model(self.directory / "echo") if self.is_fake else "identity_float32"

    def server(self, **options):
        return self.get(self.model(), fake=self.is_fake, **options)

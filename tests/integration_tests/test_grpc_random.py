"""Random requests over HTTP/1.1 and gRPC: bytes for bytes the same answer, and the status that belongs to it."""

import io
import json

import httpx
import numpy
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnxd_grpc import OK, STATUS_OF_HTTP, grpc_port, open_channel, predict

# The same examples every time, and no clock in the verdict.
BOUNDED = settings(derandomize=True, max_examples=1000, deadline=None, database=None,
                   suppress_health_check=list(HealthCheck))
LIMITS = {"MAX_BODY_BYTES": "400", "MAX_RECORDS": "8"}

NUMBERS = st.one_of(st.integers(-10**12, 10**12), st.floats(width=32), st.sampled_from([0, 1, -0.0, 1e38, 1e39]))
CELLS = st.one_of(NUMBERS, st.booleans(), st.none(), st.text(max_size=3))
ROWS = st.lists(st.lists(NUMBERS, min_size=2, max_size=2), min_size=1, max_size=10)
ANY_ROWS = st.lists(st.lists(CELLS, max_size=4), max_size=10)
JSON_TYPES = ["application/json", "Application/JSON; charset=utf-8", "application/x+json"]
LINES_TYPES = ["application/jsonlines", "application/x-ndjson"]
CSV_TYPES = ["text/csv", "application/csv"]
NPY_TYPE = "application/x-npy"
TYPES = [*JSON_TYPES, *LINES_TYPES, *CSV_TYPES, NPY_TYPE]


@st.composite
def json_bodies(draw):
    rows = draw(st.one_of(ROWS, ANY_ROWS))
    return json.dumps(draw(st.sampled_from([rows, {"instances": rows}, {"features": rows}, {"x": rows}]))).encode()


@st.composite
def line_bodies(draw):
    rows = draw(st.one_of(ROWS, ANY_ROWS))
    lines = [json.dumps({"features": row} if draw(st.booleans()) else row) for row in rows]
    return draw(st.sampled_from(["\n", "\r\n", "\n\n"])).join(lines).encode()


@st.composite
def csv_bodies(draw):
    rows = draw(st.one_of(ROWS, ANY_ROWS))
    lines = [",".join(str(cell) for cell in row) for row in rows]
    if draw(st.booleans()):
        lines.insert(0, "a,b")
    return draw(st.sampled_from(["\n", "\r\n"])).join(lines).encode()


@st.composite
def npy_bodies(draw):
    dtype = draw(st.sampled_from(["<f4", "<f8", "<i8", "<i4", "|b1", ">f4"]))
    shape = draw(st.sampled_from([(1, 2), (5, 2), (9, 2), (2,), (0, 2), (3, 3), (2, 2, 2)]))
    out = io.BytesIO()
    numpy.save(out, numpy.arange(numpy.prod(shape)).reshape(shape).astype(dtype))
    return out.getvalue()


@st.composite
def broken(draw, bodies):
    """A body with a piece cut out, doubled, or replaced."""
    body = draw(bodies)
    start = draw(st.integers(0, len(body)))
    end = draw(st.integers(start, min(len(body), start + 8)))
    instead = draw(st.one_of(st.just(b""), st.just(body[start:end] * 2), st.binary(max_size=4)))
    return body[:start] + instead + body[end:]


@st.composite
def requests(draw):
    """(body, content type, accept): mostly what belongs together."""
    bodies, types = draw(st.sampled_from([(json_bodies(), JSON_TYPES), (line_bodies(), LINES_TYPES),
                                          (csv_bodies(), CSV_TYPES), (npy_bodies(), [NPY_TYPE])]))
    body = draw(st.one_of(bodies, bodies, broken(bodies), st.binary(max_size=40)))
    content_type = draw(st.sampled_from([*types, *types, *TYPES, "", "nope/nope", "text/plain", "application/"]))
    accept = draw(st.sampled_from(["", "", "application/json", "text/csv", NPY_TYPE, "*/*", "text/csv;q=0.5, */*;q=0.1",
                                   "text/html", "nonsense", "application/json;q=0"]))
    return body, content_type, accept


class Both:
    """A server that can be asked in both ways, on connections that stay open."""

    def __init__(self, server):
        self.http = httpx.Client(base_url=server.url(""), trust_env=False, verify=False, timeout=60)
        self.http.headers.clear()
        self.channel = open_channel(server, grpc_port(server))

    def close(self):
        self.http.close()
        self.channel.close()

    def ask(self, body, content_type, accept):
        fields = {name: value for name, value in (("Content-Type", content_type), ("Accept", accept)) if value}
        old = self.http.send(self.http.build_request("POST", "/invocations", headers=fields, content=body))
        return old, predict(self.channel, body, content_type, accept)


@pytest.fixture(scope="module", params=[{}, LIMITS], ids=["no limits", "limits"])
def both(request, servers):
    made = Both(servers("identity_float32", env=request.param))
    yield made
    made.close()


seen = set()


@BOUNDED
@given(asked=requests())
def test_the_same_answer(both, asked):
    old, got = both.ask(*asked)
    seen.add(old.status_code)
    assert got.code is STATUS_OF_HTTP[old.status_code], (asked, old.text, got)
    if got.code is OK:
        assert got.reply.body == old.content
        assert got.reply.content_type == old.headers["content-type"]
        assert int(got.reply.metadata["batch_size"]) >= 0
    else:
        assert got.details == json.loads(old.content)["error"], (asked, got)


def test_the_examples_were_of_every_kind():
    """What never succeeds, or always does, shows nothing."""
    assert {200, 400} <= seen

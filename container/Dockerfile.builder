# builder: compiles onnxd and runs its tests; a failing test fails the build. What the runner takes
# over lies in /dist, the debug information that was stripped from it in /debug.
ARG PREFIX=ffreis
ARG UV_VENV_IMAGE=${PREFIX}/uv-venv

# The program is made of these files alone: a change elsewhere, in a test say, does not make it anew.
FROM ${UV_VENV_IMAGE} AS program
ARG SOURCE_DIR=/src
# Archives that the build makes have this time in them, always the same one.
ENV SOURCE_DATE_EPOCH=315532800
WORKDIR ${SOURCE_DIR}
RUN ln -s /opt/deps .deps && ln -s /opt/venv .venv && ln -s /opt/node .node
COPY CMakeLists.txt CMakePresets.json LICENSE deps.lock ./
COPY cmake cmake
COPY proto proto
COPY docs/openapi.yaml docs/openapi.yaml
COPY docs/ui docs/ui
COPY requirements/native.txt requirements/
COPY scripts/lib.sh scripts/build scripts/install-program scripts/pack-worker scripts/sbom scripts/
COPY python python
COPY src src
RUN scripts/build release program && scripts/install-program /dist/usr/local /debug

FROM program
COPY tests/CMakeLists.txt tests/
COPY tests/bench tests/bench
COPY tests/fuzz tests/fuzz
COPY tests/unit_tests tests/unit_tests
RUN scripts/build release
COPY . .
ARG TEST_SUITES="unit integration"
RUN scripts/run-tests release ${TEST_SUITES}

# The images and what is done with them. An image is built from those it stands on; the builder's
# cache makes a build of what has not changed a matter of seconds.
#
#   base -> base-builder -> uv-venv -> builder --.
#     `---> base-runner ---------------------------> runner -> runner-tracing -> runner-python
#
# CONTAINER_COMMAND is docker or podman; BASE_IMAGE and BASE_DIGEST replace what the images build on.
# TEST_SUITES are the tests that the builder runs: unit, integration, e2e.
# CONTAINER_BUILD_FLAGS and CONTAINER_RUN_FLAGS are passed on; CA_BUNDLE names certificates that the
# builds need behind a proxy that opens TLS.
include container/digests.env

PREFIX ?= ffreis
CONTAINER_COMMAND ?= $(if $(shell command -v podman),podman,docker)
CONTAINER_BUILD_FLAGS ?=
CONTAINER_RUN_FLAGS ?=
CA_BUNDLE ?=
FRAMEWORK ?= sklearn
TEST_SUITES ?= unit integration
VERSION ?= $(shell awk '/^project.onnxd VERSION / { print $$3 }' CMakeLists.txt)
REVISION ?= $(or $(shell git describe --always --dirty --abbrev=40 --exclude '*' 2>/dev/null),unknown)
SOURCE_URL ?= $(or $(shell git config --get remote.origin.url),unknown)

images = base base-builder uv-venv builder base-runner runner
base_reference = $(BASE_IMAGE)$(if $(BASE_DIGEST),@$(BASE_DIGEST))
runner_labels = --build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) \
                --build-arg SOURCE_URL=$(SOURCE_URL)

# podman's own image format has no HEALTHCHECK.
container_build = $(CONTAINER_COMMAND) build $(if $(findstring podman,$(CONTAINER_COMMAND)),--format=docker) \
    $(if $(CA_BUNDLE),--secret id=ca$(comma)src=$(CA_BUNDLE)) $(CONTAINER_BUILD_FLAGS)
comma = ,

# $(call build_image,NAME,DOCKERFILE,ARGUMENTS)
build_image = $(container_build) $(3) --file container/$(2) --tag $(PREFIX)/$(1) .
from_prefix = --build-arg PREFIX=$(PREFIX)

.PHONY: $(addprefix build-,$(images)) build-runner-tracing build-runner-python build-images run-container \
        $(addprefix clean-,$(images)) clean-runner-tracing clean-runner-python clean-all local-base test-containers \
        smoke-api-grpc

build-base: ## image base: the pinned distribution with an unprivileged user
	$(call build_image,base,Dockerfile.base,--build-arg BASE=$(base_reference))

build-base-builder: build-base ## image base-builder: compiler, Python, -dev packages
	$(call build_image,base-builder,Dockerfile.base-builder,$(from_prefix))

build-uv-venv: build-base-builder ## image uv-venv: what the lock files name, /opt/venv and /opt/deps
	$(call build_image,uv-venv,Dockerfile.uv-builder,$(from_prefix))

build-builder: build-uv-venv ## image builder: compiles, runs the tests; a failing test fails it
	$(call build_image,builder,Dockerfile.builder,$(from_prefix) --build-arg TEST_SUITES="$(TEST_SUITES)")

build-base-runner: build-base ## image base-runner: entry point, user, ports
	$(call build_image,base-runner,Dockerfile.base-runner,$(from_prefix))

build-runner: build-builder build-base-runner ## image runner: onnxd and the runtime's library
	$(call build_image,runner,Dockerfile.runner,$(from_prefix) $(runner_labels))

build-runner-tracing: build-runner ## image runner-tracing: the same with what sends traces
	$(call build_image,runner-tracing,Dockerfile.runner-tracing,$(from_prefix))

build-runner-python: build-runner-tracing ## image runner-python: that with Python and FRAMEWORK
	$(call build_image,runner-python,Dockerfile.runner-python,$(from_prefix) --build-arg FRAMEWORK=$(FRAMEWORK))

build-images: build-runner ## all images up to runner

run-container: build-runner ## serve MODEL on PORT in a container of the runner image
	$(CONTAINER_COMMAND) run --rm --read-only --cap-drop=ALL --security-opt=no-new-privileges \
	    --publish $(PORT):8080 --publish 50052:50052 --volume $(abspath $(MODEL)):/opt/ml/model:ro \
	    $(CONTAINER_RUN_FLAGS) $(PREFIX)/runner

$(addprefix clean-,$(images) runner-tracing runner-python): clean-%: ## remove one image
	-$(CONTAINER_COMMAND) image rm --force $(PREFIX)/$*

clean-all: clean-runner-python clean-runner-tracing clean-runner clean-base-runner clean-builder clean-uv-venv clean-base-builder clean-base ## remove all images

local-base: ## a base image made by debootstrap, where none can be pulled: localhost/onnxd-local-base
	@scripts/setup containers
	@CONTAINER_COMMAND="$(CONTAINER_COMMAND)" scripts/local-base

test-containers: ## build every image, run and break them, measure (some 10 minutes)
	@scripts/setup containers
	@CONTAINER_COMMAND="$(CONTAINER_COMMAND)" CA_BUNDLE="$(CA_BUNDLE)" tests/containers/test-containers

smoke-api-grpc: build-runner ## start the service by compose, ask it over HTTP and gRPC, stop it
	@CONTAINER_COMMAND="$(CONTAINER_COMMAND)" PREFIX="$(PREFIX)" scripts/smoke-api-grpc

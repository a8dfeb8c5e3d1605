"""deploy/kubernetes and deploy/kserve: the API takes every object, the objects fit one another and onnxd."""

import re
import subprocess

import pytest
import yaml
from onnxd_server import ROOT, run_onnxd

KUBERNETES = ROOT / "deploy/kubernetes"
KSERVE = ROOT / "deploy/kserve"
VALIDATE = ROOT / ".venv.ci/bin/kubernetes-validate"
VERSIONS = ["1.30", "1.33", "1.37"]  # the oldest that README.md names, and the newest of the package

pytestmark = pytest.mark.skipif(not KUBERNETES.is_dir(), reason="an image's build has no deploy/")
needs_schemas = pytest.mark.skipif(not VALIDATE.exists(), reason="scripts/setup lint installs the API's schemas")


def load(path):
    return yaml.safe_load(path.read_text())


def objects():
    return sorted(path for path in KUBERNETES.glob("*.yaml") if path.name != "kustomization.yaml")


def deployment():
    return load(KUBERNETES / "deployment.yaml")


def runtime():
    return load(KSERVE / "servingruntime.yaml")


def pod_specs():
    """Both descriptions of a pod; a ServingRuntime's spec has the fields of one."""
    return {"deployment": deployment()["spec"]["template"]["spec"], "servingruntime": runtime()["spec"]}


def settings_of(container):
    return {entry["name"]: entry["value"] for entry in container["env"]}


def validate(version, *paths):
    """(exit code, output) of the schemas of that version; unknown fields are errors."""
    done = subprocess.run([VALIDATE, "--strict", "-k", version, *paths], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


pods = pytest.mark.parametrize("name", ["deployment", "servingruntime"])


# The objects alone.


@needs_schemas
@pytest.mark.parametrize("version", VERSIONS)
def test_the_api_takes_every_object(version):
    code, output = validate(version, *objects())
    assert code == 0, output
    assert len(re.findall(r" passed ", output)) == len(objects()), output


@needs_schemas
def test_a_field_that_is_none_would_be_seen(tmp_path):
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text((KUBERNETES / "deployment.yaml").read_text().replace("readinessProbe:", "readynessProbe:"))
    code, output = validate(VERSIONS[0], wrong)
    assert code != 0
    assert "readynessProbe" in output


@needs_schemas
def test_the_runtime_s_container_is_one_of_a_pod(tmp_path):
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "onnxd"},
           "spec": {"containers": runtime()["spec"]["containers"]}}
    path = tmp_path / "pod.yaml"
    path.write_text(yaml.safe_dump(pod))
    code, output = validate(VERSIONS[-1], path)
    assert code == 0, output


# The objects together.


def test_the_kustomization_names_what_is_there():
    kustomization = load(KUBERNETES / "kustomization.yaml")
    assert sorted([*kustomization["resources"], "hpa-queue.yaml"]) == [path.name for path in objects()]
    image, = kustomization["images"]
    assert image["name"] == pod_specs()["deployment"]["containers"][0]["image"]
    version = re.search(r"^project\(onnxd VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text(), re.M)[1]
    assert image["newTag"] == version
    assert runtime()["spec"]["containers"][0]["image"] == f"{image['name']}:{version}"


def test_selectors_find_the_pods():
    labels = deployment()["spec"]["template"]["metadata"]["labels"]
    assert deployment()["spec"]["selector"]["matchLabels"] == labels
    assert load(KUBERNETES / "service.yaml")["spec"]["selector"] == labels
    assert load(KUBERNETES / "pdb.yaml")["spec"]["selector"]["matchLabels"] == labels
    assert load(KUBERNETES / "networkpolicy.yaml")["spec"]["podSelector"]["matchLabels"] == labels
    for name in ("hpa.yaml", "hpa-queue.yaml"):
        target = load(KUBERNETES / name)["spec"]["scaleTargetRef"]
        assert (target["kind"], target["name"]) == ("Deployment", deployment()["metadata"]["name"])
    assert "replicas" not in deployment()["spec"], "the autoscaler's number would be undone by each apply"


def test_named_ports_are_the_container_s():
    container = pod_specs()["deployment"]["containers"][0]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert {port["targetPort"] for port in load(KUBERNETES / "service.yaml")["spec"]["ports"]} == set(ports)
    rule, = load(KUBERNETES / "networkpolicy.yaml")["spec"]["ingress"]
    assert {port["port"] for port in rule["ports"]} == set(ports)
    settings = settings_of(container)
    assert ports == {"http": int(settings["PORT"]), "grpc": int(settings["GRPC_PORT"])}


@pods
def test_pods_are_restricted(name):
    """What the Pod Security Standard of that name asks, and a file system that cannot be written."""
    spec = pod_specs()[name]
    container, = spec["containers"]
    whole = {**spec.get("securityContext", {}), **container["securityContext"]}
    assert whole["runAsNonRoot"] is True
    assert whole["runAsUser"] != 0
    assert whole["allowPrivilegeEscalation"] is False
    assert whole["readOnlyRootFilesystem"] is True
    assert whole["capabilities"] == {"drop": ["ALL"]}
    assert whole["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    assert not [volume for volume in spec.get("volumes", []) if "hostPath" in volume]
    assert set(container["resources"]["limits"]) == {"cpu", "memory"}


def test_pods_have_no_token():
    assert deployment()["spec"]["template"]["spec"]["automountServiceAccountToken"] is False
    assert load(KUBERNETES / "serviceaccount.yaml")["automountServiceAccountToken"] is False
    assert load(KSERVE / "inferenceservice.yaml")["spec"]["predictor"]["automountServiceAccountToken"] is False


@pods
def test_a_drain_fits_into_the_grace_period(name):
    spec = pod_specs()[name]
    container, = spec["containers"]
    grace_s = spec.get("terminationGracePeriodSeconds", 30)  # what a pod has by itself
    before_s = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert before_s + int(settings_of(container)["DRAIN_TIMEOUT_S"]) < grace_s


def test_the_service_names_the_runtime():
    spec = runtime()["spec"]
    assert [container["name"] for container in spec["containers"]] == ["kserve-container"]
    assert settings_of(spec["containers"][0])["SM_MODEL_DIR"] == "/mnt/models"
    model = load(KSERVE / "inferenceservice.yaml")["spec"]["predictor"]["model"]
    assert model["runtime"] == runtime()["metadata"]["name"]
    assert model["modelFormat"]["name"] in [form["name"] for form in spec["supportedModelFormats"]]


# The objects and onnxd.


@pods
def test_settings_are_onnxd_s(name):
    table = run_onnxd("settings", "--markdown").stdout
    known = set(re.findall(r"^\| `(\w+)`", table, re.M))
    assert set(settings_of(pod_specs()[name]["containers"][0])) <= known


@pods
def test_onnxd_answers_what_is_asked_of_a_pod(name, start):
    container, = pod_specs()[name]["containers"]
    env = {**settings_of(container), "PORT": "0", "GRPC_PORT": "0"}
    del env["SM_MODEL_DIR"]
    server = start("iris_logistic_regression", env=env, args=container["args"][1:])
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert server.get(container[probe]["httpGet"]["path"]).status_code == 200, probe


def test_metrics_that_scale_are_onnxd_s(start):
    server = start("iris_logistic_regression")
    notes = deployment()["spec"]["template"]["metadata"]["annotations"]
    assert server.get(notes["prometheus.io/path"]).status_code == 200
    scaled = [metric["pods"]["metric"]["name"] for metric in load(KUBERNETES / "hpa-queue.yaml")["spec"]["metrics"]
              if metric["type"] == "Pods"]
    assert scaled
    assert set(scaled) <= set(server.metrics())

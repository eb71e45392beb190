"""Tests of every SavedModel in TensorFlow without zoo, and of deploy/ against public schemas."""

import functools
import io
import os
import pickle
import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import kserve
import kubernetes
import kubernetes_validate
import numpy as np
import pytest
import yaml
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
    wrappers_pb2,
)
from PIL import Image
from tensorflow_serving.config import model_server_config_pb2

import zoo
from tests.conftest import ROOT, nightly_except
from zoo import catalog, cli, recipes
from zoo.models.variational.model import VariationalModel
from zoo.training import strategies

DEPLOY = ROOT / "deploy"
NAMES = zoo.list_models()
QUICK = ("cdcgan_mnist", "cvae_quadrant_mnist")
COSTLY = nightly_except(QUICK, NAMES)

# Loads each model as Python does, and as TF Serving does, which runs the graph with the tag "serve"
# in a session, and feeds and fetches the tensors that signature_def names.
ALONE = """
    import pickle, sys
    import tensorflow as tf

    def specs(tensors):
        return {
            name: (tf.as_dtype(t.dtype).name, [d.size for d in t.tensor_shape.dim])
            for name, t in tensors.items()
        }

    answers = {}
    for folder, given in pickle.load(sys.stdin.buffer).items():
        answers[folder] = found = {}
        loaded = tf.saved_model.load(folder)
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            graph = tf.compat.v1.saved_model.loader.load(session, [tf.saved_model.SERVING], folder)
            for name, signature in graph.signature_def.items():
                if signature.method_name != tf.saved_model.PREDICT_METHOD_NAME:
                    continue
                feed = {tensor.name: given[key] for key, tensor in signature.inputs.items()}
                outputs = {key: tensor.name for key, tensor in signature.outputs.items()}
                found[name] = {
                    "inputs": specs(signature.inputs),
                    "outputs": specs(signature.outputs),
                    "fetched": session.run(outputs, feed),
                }
        for name, function in loaded.signatures.items():
            computed = function(**{key: tf.constant(given[key]) for key in found[name]["inputs"]})
            found[name]["computed"] = {key: tensor.numpy() for key, tensor in computed.items()}
    # TensorFlow itself imports parts of Keras.
    assert not {"zoo", "tests"} & set(sys.modules)
    pickle.dump(answers, sys.stdout.buffer)
"""


def rows(card):
    """Returns four rows of every input that a signature may have, by name."""
    rng = np.random.default_rng(0)
    return {
        "seed": np.array([0, 7, 2**31, 2**62 + 1]),
        "label": np.array([0, 3, 7, (card.num_classes or 1) - 1], np.int32),
        "z": rng.standard_normal((4, card.latent_dim), np.float32),
        "noise": rng.standard_normal((4, card.latent_dim), np.float32),
        "images": rng.random((4, *card.image_shape), np.float32),
        "condition": rng.random(
            (4, *(card.condition["shape"] if card.condition else ())), np.float32
        ),
    }


@functools.cache
def outputs_without_zoo(names):
    """Returns the signatures of models and their outputs, from one process without zoo."""
    given = {str(catalog.directory(name) / "1"): rows(zoo.info(name)) for name in names}
    command = [sys.executable, "-c", textwrap.dedent(ALONE)]
    done = subprocess.run(command, input=pickle.dumps(given), capture_output=True, cwd="/")
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    return {Path(folder).parent.name: found for folder, found in pickle.loads(done.stdout).items()}


@pytest.fixture
def alone(name):
    """Returns the signatures of a model and their outputs in a process without zoo."""
    group = QUICK if name in QUICK else tuple(other for other in NAMES if other not in QUICK)
    return outputs_without_zoo(group)[name]


def documented_signatures(card):
    """Returns {signature: (inputs, outputs)}, each {name: (dtype, shape)} with batch size -1."""
    condition = {"label": ("int32", [-1])} if card.num_classes else {}
    if card.condition:
        condition = {"condition": ("float32", [-1, *card.condition["shape"]])}
    images, latent = ("float32", [-1, *card.image_shape]), ("float32", [-1, card.latent_dim])
    seed, seen = {"seed": ("int64", [-1])} | condition, {"images": images} | condition
    table = {
        "serving_default": (seed, {"images": images}),
        "sample": (seed, {"images": images}),
        "sample_png": (seed, {"png_bytes": ("string", [-1])}),
        "decode": ({"z": latent} | condition, {"images": images}),
    }
    if issubclass(getattr(zoo.models, card.family), VariationalModel):
        table |= {
            "encode": (seen, {"mean": latent, "log_var": latent}),
            "reconstruct": (seen, {"images": images}),
            "score": (seen, {"score": ("float32", [-1])}),
        }
    if "prior" in card.recipe["model"]:
        table |= {
            "prior": ({"noise": latent} | condition, {"z": latent}),
            "log_prior": ({"z": latent} | condition, {"log_prob": ("float32", [-1])}),
        }
    return table


@pytest.mark.parametrize("name", COSTLY)
def test_signatures_are_the_documented_ones(name, alone):
    found = {signature: (part["inputs"], part["outputs"]) for signature, part in alone.items()}
    assert found == documented_signatures(zoo.info(name))


@pytest.mark.parametrize("name", COSTLY)
def test_a_session_answers_as_pythons_loader_does(alone):
    for part in alone.values():
        for output, value in part["computed"].items():
            if value.dtype == object:
                assert value.tolist() == part["fetched"][output].tolist()
            else:
                np.testing.assert_allclose(part["fetched"][output], value, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", COSTLY)
def test_a_session_draws_the_images_of_the_seeds(name, alone):
    given, card = rows(zoo.info(name)), zoo.info(name)
    labels = given["label"] if card.num_classes else None
    condition = given["condition"] if card.condition else None
    drawn = zoo.load(name, "saved_model").sample(4, labels, seed=given["seed"], condition=condition)
    for signature in ("sample", "serving_default"):
        np.testing.assert_allclose(alone[signature]["fetched"]["images"], drawn, rtol=0, atol=1e-5)
    for png, image in zip(alone["sample_png"]["fetched"]["png_bytes"], drawn):
        pixels = np.asarray(Image.open(io.BytesIO(png)), int).reshape(card.image_shape)
        # A difference of 1e-5 may change the rounded grey level by one.
        assert np.abs(pixels - np.round(image * 255)).max() <= 1


def models_config():
    config = (catalog.package_root() / "models.config").read_text()
    return text_format.Parse(
        config, model_server_config_pb2.ModelServerConfig()
    ).model_config_list.config


def test_models_config_names_every_model():
    served = [(model.name, model.base_path, model.model_platform) for model in models_config()]
    assert served == [(name, f"/models/{name}", "tensorflow") for name in NAMES]


def batching_parameters():
    """Returns an empty message BatchingParameters of TF Serving, with the fields that deploy/ uses.

    No package contains its definition, session_bundle_config.proto.
    """
    file = descriptor_pb2.FileDescriptorProto(
        name="session_bundle_config.proto", package="tensorflow.serving", syntax="proto3"
    )
    file.dependency.append(wrappers_pb2.DESCRIPTOR.name)
    message = file.message_type.add(name="BatchingParameters")
    whole, flag = ".google.protobuf.Int64Value", ".google.protobuf.BoolValue"
    fields = {
        "max_batch_size": whole,
        "batch_timeout_micros": whole,
        "max_enqueued_batches": whole,
        "num_batch_threads": whole,
    }
    for number, (name, type_name) in enumerate(
        (fields | {"enable_large_batch_splitting": flag}).items(), start=1
    ):
        message.field.add(name=name, number=number, label=1, type=11, type_name=type_name)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return message_factory.GetMessageClass(
        pool.FindMessageTypeByName("tensorflow.serving.BatchingParameters")
    )()


def test_batching_parameters_parse():
    parameters = text_format.Parse((DEPLOY / "batching.config").read_text(), batching_parameters())
    assert parameters.max_batch_size.value > 1
    assert parameters.enable_large_batch_splitting.value
    with pytest.raises(text_format.ParseError):
        text_format.Parse("max_batch { value: 64 }", batching_parameters())


def compose_problems(path):
    command = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
        path,
    ]
    return subprocess.run(command, capture_output=True, text=True).stdout


def test_the_compose_file_is_of_the_published_schema(tmp_path):
    assert compose_problems(DEPLOY / "compose.yaml").startswith("ok")
    (tmp_path / "compose.yaml").write_text(
        (DEPLOY / "compose.yaml").read_text().replace("volumes", "volume")
    )
    assert "'volume' was unexpected" in compose_problems(tmp_path / "compose.yaml")


def compose_run():
    """Returns the mounts and flags of the Compose file."""
    (service,) = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"].values()
    volumes = [volume.split(":") for volume in service["volumes"]]
    return {target: (DEPLOY / source).resolve() for source, target, _ in volumes}, service[
        "command"
    ]


def guide_run():
    """Returns the mounts and flags of the guide's docker run."""
    page = (ROOT / "docs" / "guides" / "deploy.md").read_text()
    line = re.search(r"^docker run (.*\\\n)*.*", page, re.MULTILINE)[0]
    words = shlex.split(line.replace("\\\n", " ").replace("$PWD", str(ROOT)))
    volumes = [words[i + 1].split(":") for i, word in enumerate(words) if word == "-v"]
    return {target: Path(source) for source, target, _ in volumes}, words[
        words.index("tensorflow/serving") + 1 :
    ]


@pytest.mark.parametrize("run", [compose_run, guide_run])
def test_every_path_in_the_container_is_mounted(run):
    mounts, flags = run()
    assert [flag.partition("=")[0] for flag in flags] == [
        "--model_config_file",
        "--enable_batching",
        "--batching_parameters_file",
    ]
    files = [flag.partition("=")[2] for flag in flags if "=" in flag]
    for path in map(
        Path, [*files, *(f"{model.base_path}/1/saved_model.pb" for model in models_config())]
    ):
        (target,) = (target for target in mounts if path.is_relative_to(target))
        assert (mounts[target] / path.relative_to(target)).is_file()


def problems(value, kind):
    """Returns the problems of a part of a manifest, by the field types of KServe and Kubernetes."""
    if kind in ("str", "int", "bool"):
        return [] if type(value).__name__ == kind else [f"{value!r} is no {kind}"]
    if kind.lower().startswith("dict"):
        return [] if isinstance(value, dict) else [f"{value!r} is no {kind}"]
    model = getattr(kserve.models, kind, None) or getattr(kubernetes.client, kind)
    kinds = {
        name: model.openapi_types[attribute] for attribute, name in model.attribute_map.items()
    }
    unknown = [f"{kind} has no {name}" for name in value if name not in kinds]
    return unknown + [
        problem for name in value if name in kinds for problem in problems(value[name], kinds[name])
    ]


def test_the_kserve_manifest_is_of_kserves_schema():
    manifest = yaml.safe_load((DEPLOY / "kserve.yaml").read_text())
    assert (manifest["apiVersion"], manifest["kind"]) == (
        "serving.kserve.io/v1beta1",
        "InferenceService",
    )
    assert problems(manifest, "V1beta1InferenceService") == []
    predictor = manifest["spec"]["predictor"]
    assert predictor["model"]["modelFormat"] == {"name": "tensorflow"}
    assert re.fullmatch("[a-z]([-a-z0-9]*[a-z0-9])?", manifest["metadata"]["name"])
    assert Path(predictor["model"]["storageUri"]).name in NAMES
    predictor |= {"maxReplicas": "4", "minReplica": 1}
    assert problems(manifest, "V1beta1InferenceService") == [
        "V1beta1PredictorSpec has no minReplica",
        "'4' is no int",
    ]


def training_manifests():
    """Returns the volume claim, the Service and the Job of the manifest for training."""
    return list(yaml.safe_load_all((DEPLOY / "training.yaml").read_text()))


def test_the_manifest_for_training_is_of_the_schema_of_kubernetes():
    version = kubernetes_validate.latest_version()
    manifests = training_manifests()
    kinds = [manifest["kind"] for manifest in manifests]
    assert kinds == ["PersistentVolumeClaim", "Service", "Job"]
    for manifest in manifests:
        kubernetes_validate.validate(manifest, version, strict=True)
    manifests[-1]["spec"]["completionsMode"] = "Indexed"
    with pytest.raises(kubernetes_validate.ValidationError, match="completionsMode"):
        kubernetes_validate.validate(manifests[-1], version, strict=True)


def test_the_workers_of_the_manifest_for_training_find_each_other():
    claim, service, job = training_manifests()
    name, spec = job["metadata"]["name"], job["spec"]
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    environment = {one["name"]: one["value"] for one in container["env"]}
    found = strategies.cluster(environment | {"JOB_COMPLETION_INDEX": "3"})
    # Host names of the pods of an indexed Job: NAME-INDEX.SUBDOMAIN, of a headless Service.
    assert pod["subdomain"] == service["metadata"]["name"]
    port = service["spec"]["ports"][0]["port"]
    assert found["cluster"]["worker"] == [
        f"{name}-{i}.{pod['subdomain']}:{port}" for i in range(spec["completions"])
    ]
    assert (spec["completionMode"], spec["parallelism"]) == ("Indexed", spec["completions"])
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"] == {"batch.kubernetes.io/job-name": name}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounted = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    claimed = volumes[mounted["/runs"]]["persistentVolumeClaim"]["claimName"]
    assert claimed == claim["metadata"]["name"]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    assert environment["TFDS_DATA_DIR"] in mounted


@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_worker_of_the_manifest_resumes_the_run_if_there_is_one(is_restarted, tmp_path):
    *_, job = training_manifests()
    (container,) = job["spec"]["template"]["spec"]["containers"]
    (script,) = container["args"]
    if is_restarted:
        (tmp_path / "dcgan_mnist").mkdir()
        (tmp_path / "dcgan_mnist" / "recipe.json").touch()
    (tmp_path / "zoo").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / "zoo").chmod(0o755)
    done = subprocess.run(
        [*container["command"], script.replace("/runs/", f"{tmp_path}/")],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    command = f"train dcgan_mnist --strategy multi-worker --run-dir {tmp_path}/dcgan_mnist"
    assert done.stdout.strip() == command + (" --resume" if is_restarted else "")
    # The command line has these options, and the batch of the recipe is divisible.
    cli.cli.main([*command.split(), "--dry-run"], standalone_mode=False)
    assert recipes.named("dcgan_mnist").batch_size % job["spec"]["completions"] == 0

"""Own what kustomize makes of a folder, as documents, for the tests of manifests."""

from __future__ import annotations

import functools
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from infra.cluster import KUBERNETES

HERE = Path(__file__).parent
OVERLAYS = tuple(sorted(path.name for path in (KUBERNETES / "overlays").iterdir()))

OLDER = {
    ("batch/v1", "CronJob"): "batch/v1beta1",
    ("policy/v1", "PodDisruptionBudget"): "policy/v1beta1",
    ("autoscaling/v2", "HorizontalPodAutoscaler"): "autoscaling/v2beta2",
}
"What a server of before 1.21 calls them."
YOUNGER = ("unhealthyPodEvictionPolicy",)
"Fields of those kinds that such a server does not know."

Document = dict[str, Any]


def installed(what: str) -> str:
    """The folder of what `install` installs."""
    done = subprocess.run([HERE / "install", what], stdout=subprocess.PIPE, text=True, check=True, timeout=900)
    return done.stdout.strip()


@functools.cache
def kustomize() -> str:
    """The program."""
    return shutil.which("kustomize") or f"{installed('kustomize')}/kustomize"


def built(folder: Path) -> list[Document]:
    """Every object of a folder."""
    command = [kustomize(), "build", "--load-restrictor=LoadRestrictionsNone", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr  # it warns of what newer versions will refuse
    return list(yaml.safe_load_all(done.stdout))


def as_older(document: Document) -> Document:
    """The same for a server of before 1.21."""
    older = OLDER.get((document["apiVersion"], document["kind"]))
    if older is None:
        return document
    kept = {name: value for name, value in document["spec"].items() if name not in YOUNGER}
    return {**document, "apiVersion": older, "spec": kept}


@functools.cache
def overlay(name: str) -> tuple[Document, ...]:
    """Every object of one of the shipped overlays."""
    return tuple(built(KUBERNETES / "overlays" / name))


def pod_specs(documents: tuple[Document, ...]) -> dict[str, Document]:
    """The pod of every Deployment and CronJob, by the object's name."""
    found = {}
    for each in documents:
        if each["kind"] == "Deployment":
            found[each["metadata"]["name"]] = each["spec"]["template"]["spec"]
        if each["kind"] == "CronJob":
            found[each["metadata"]["name"]] = each["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return found

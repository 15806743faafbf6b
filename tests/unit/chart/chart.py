"""Render the chart with Helm, and find objects in the output."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import yaml
from vision_node_operator.runtime.chart_describers import Defaults, changes
from world import pool_of

CHART = "charts/vision-node"
OLDEST, NEWEST = "1.33", "1.36"
"""Oldest and newest Kubernetes versions that the chart supports."""

Object = dict[str, Any]
Values = dict[str, Any]

VALUES: dict[str, Values] = {
    "default": {},
    "external-s3": {
        "storage": {
            "endpoint": "s3.example.com:9443",
            "existingSecret": "my-bucket",
            "region": "eu-central-1",
        }
    },
    "ingress": {
        "api": {
            "ingress": {
                "enabled": True,
                "className": "nginx",
                "host": "images.example.com",
                "tlsSecret": "images-tls",
                "annotations": {"nginx.ingress.kubernetes.io/proxy-body-size": "20m"},
            }
        }
    },
    "below-a-path": {
        "api": {
            "rootPath": "/apps/vision",
            "proxy": {"trusted": ["10.0.0.0/8", "fd00::/8"]},
            "cors": {"origins": ["https://gallery.example.com", "http://localhost:5173"]},
            "keepAliveSeconds": 400,
            "ingress": {"enabled": True, "host": "example.com", "tlsSecret": "example-tls"},
        }
    },
    "external-database": {
        "database": {
            "url": "postgresql://db-1.example.com:6432,db-2.example.com/vision?sslmode=verify-full",
            "existingSecret": "my-database",
            "apiRole": "vision_reader",
        },
        "networkPolicies": {"enabled": True},
    },
    "database-urls-in-a-secret": {
        "database": {"existingSecret": "my-database"},
        "networkPolicies": {"enabled": True},
    },
    "nothing-bundled": {
        "database": {"existingSecret": "my-database"},
        "storage": {"endpoint": "s3.example.com", "existingSecret": "my-bucket"},
    },
    "no-database": {"database": {"enabled": False}, "networkPolicies": {"enabled": True}},
    "network-policies": {"networkPolicies": {"enabled": True}},
    "metrics": {
        "networkPolicies": {"enabled": True},
        "metrics": {
            "podMonitor": {
                "enabled": True,
                "labels": {"release": "prometheus"},
                "interval": "15s",
            },
            "networkPolicyFrom": [
                {
                    "namespaceSelector": {
                        "matchLabels": {"kubernetes.io/metadata.name": "monitoring"}
                    }
                }
            ],
        },
    },
    "network-policies-external-s3": {
        "networkPolicies": {"enabled": True},
        "storage": {"endpoint": "s3.example.com", "existingSecret": "my-bucket", "secure": False},
    },
    "private-network": {
        "networkPolicies": {
            "enabled": True,
            "workerEgress": ["10.0.0.0/8", "fd00::/8"],
            "apiServerPorts": [443, 16443],
            "dnsPorts": [1053],
        },
        "caBundle": {"configMap": "my-authorities", "key": "bundle.pem"},
        "proxy": {"url": "http://proxy.example.com:3128", "except": [".example.com"]},
    },
    "keyless-s3": {
        "networkPolicies": {"enabled": True},
        "storage": {"endpoint": "s3.eu-central-1.amazonaws.com", "keyless": True},
        **{
            component: {
                "serviceAccount": {
                    "annotations": {
                        "eks.amazonaws.com/role-arn": f"arn:aws:iam::111122223333:role/{component}"
                    }
                }
            }
            for component in ("api", "operator", "archiver", "workers")
        },
    },
    "openshift": {"podSecurityContext": {"runAsUser": None, "runAsGroup": None, "fsGroup": None}},
    "cpu-quota": {
        "describers": {
            name: {"resources": {"limits": {"cpu": "1"}}} for name in ("local", "metadata", "ocr")
        },
        **{
            name: {"resources": {"limits": {"cpu": "1"}}}
            for name in ("api", "operator", "archiver", "minio", "postgres", "test")
        },
    },
    "bundled-store-with-my-own-keys-and-claim": {
        "storage": {"existingSecret": "my-keys"},
        "minio": {"persistence": {"existingClaim": "my-claim"}},
        "postgres": {"persistence": {"existingClaim": "my-claim"}},
    },
    "dual-stack": {"api": {"service": {"ipFamilyPolicy": "PreferDualStack"}}},
    "extras": {
        component: {
            "extraEnv": [
                {"name": "TZ", "value": "Europe/Vienna"},
                {
                    "name": "S3_REGION" if component != "minio" else "MINIO_REGION",
                    "value": "eu-central-1",
                },
            ],
            "extraVolumes": [{"name": "more", "configMap": {"name": "more"}}],
            "extraVolumeMounts": [{"name": "more", "mountPath": "/more", "readOnly": True}],
            "podLabels": {"example.com/team": "vision", "app.kubernetes.io/component": "mine"},
            "serviceAccount": {"annotations": {"example.com/role": component}},
        }
        for component in ("api", "operator", "archiver", "minio", "postgres", "workers")
    },
    "api-keys": {"auth": {"enabled": True}, "networkPolicies": {"enabled": True}},
    "kubernetes-identities": {
        "auth": {
            "enabled": True,
            "kubernetes": {"enabled": True, "audience": "images.example.com"},
            "sessionSeconds": 600,
        }
    },
    "second-release": {"crds": {"install": False}, "admissionPolicies": {"enabled": False}},
    "crds-not-kept": {"crds": {"keep": False}},
    "provider": {"providerSecret": "my-provider", "imagePullSecrets": [{"name": "my-registry"}]},
    "openai": {
        "providerSecret": "my-provider",
        "providerSecretRevision": "2026-11-26",
        "describers": {"openai": {"enabled": True}},
    },
    "cloud": {
        "describers": {
            name: {"image": "vision-node-describer-cloud:1", "concurrency": 8}
            for name in ("google", "rekognition")
        }
    },
    "many": {"api": {"replicas": 3, "service": {"type": "NodePort", "nodePort": 30080}}},
    "placed": {
        component: {
            "pod": {
                "annotations": {"example.com/team": "vision"},
                "nodeSelector": {"kubernetes.io/os": "linux"},
                "tolerations": [{"key": "images", "operator": "Exists", "effect": "NoSchedule"}],
                "affinity": {
                    "podAntiAffinity": {
                        "requiredDuringSchedulingIgnoredDuringExecution": [
                            {
                                "topologyKey": "kubernetes.io/hostname",
                                "labelSelector": {"matchLabels": {"a": "b"}},
                            }
                        ]
                    }
                },
            }
        }
        for component in ("api", "operator", "archiver", "minio", "postgres")
    },
    "describers": {
        "describers": {
            "metadata": {
                "minWorkers": 1,
                "concurrency": 8,
                "resources": {"limits": {"memory": "2Gi"}},
                "pod": {
                    "annotations": {"example.com/team": "vision"},
                    "nodeSelector": {"disk": "ssd"},
                },
            },
            "gpt": {
                "provider": "openai",
                "model": "gpt-x",
                "image": "registry.example.com/describer:1",
                "options": {"detail": "high"},
                "env": [
                    {
                        "name": "KEY",
                        "valueFrom": {"secretKeyRef": {"name": "keys", "key": "openai"}},
                    }
                ],
                "isolation": "dedicated",
                "requestsPerMinute": 60,
                "fallback": "metadata",
            },
            "own": {"provider": "http", "sidecar": {"image": "registry.example.com/own:1"}},
        }
    },
}
"""Examples of values that users may set, by name. The tests render and check each example."""

POLICIES = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")

S3_CLIENTS = ("vision-node-api", "vision-node-operator", "vision-node-archiver", "worker-metadata")
"""Names of the pods that use the S3 service."""

every_value_set = pytest.mark.parametrize("name", VALUES)


def find(name: str) -> str | None:
    """Return the path of helm or helm3 from $HELM or $HELM3, or from PATH; None if not found."""
    return os.environ.get(name.upper()) or shutil.which(name)


def helm(name: str) -> str:
    """Return the path of helm or helm3. If it is missing, fail with an installation hint."""
    return find(name) or pytest.fail(
        f"{name} is not on PATH: run `python3 -m cluster tool {name}` to get it"
    )


def run(
    *arguments: str, values: Values | None = None, program: str = "helm"
) -> subprocess.CompletedProcess[str]:
    """Run helm or helm3 with these arguments and values."""
    command = [helm(program), *arguments, "--values", "-"]
    return subprocess.run(
        command, input=json.dumps(values or {}), capture_output=True, text=True, check=False
    )


def template(
    values: Values | None = None,
    *,
    release: str = "vision-node",
    namespace: str = "vision-node",
    version: str = NEWEST,
    program: str = "helm",
) -> list[Object]:
    """Return the objects that the chart renders with these values."""
    options = ("--namespace", namespace, "--kube-version", version)
    completed = run("template", release, CHART, *options, values=values, program=program)
    assert completed.returncode == 0, completed.stderr

    return [document for document in yaml.safe_load_all(completed.stdout) if document]


@cache
def _rendered(name: str) -> str:
    return json.dumps(template(VALUES[name]))


def rendered(name: str) -> list[Object]:
    """Return the objects that the chart renders with the values VALUES[name]."""
    objects: list[Object] = json.loads(_rendered(name))
    return objects


def error_message(values: Values) -> str:
    """Return Helm's error message for invalid values."""
    completed = run("template", "vision-node", CHART, "--kube-version", NEWEST, values=values)
    assert completed.returncode != 0, f"{values} were accepted"
    return completed.stderr


def of_kind(objects: list[Object], kind: str) -> dict[str, Object]:
    """Return the objects of this kind, by name."""
    return {o["metadata"]["name"]: o for o in objects if o["kind"] == kind}


def pods(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """Yield the name and the template of every pod that results from these objects.

    This includes worker pods, whose templates the operator reads from a ConfigMap.
    """
    for manifest in objects:
        match manifest["kind"]:
            case "Pod":
                yield manifest["metadata"]["name"], manifest
            case "Deployment" | "StatefulSet" | "Job":
                yield manifest["metadata"]["name"], manifest["spec"]["template"]
            case "ConfigMap" if "describers.json" in manifest["data"]:
                defaults = Defaults.of(
                    {**manifest, "metadata": {**manifest["metadata"], "uid": "u"}}
                )
                for body in changes(defaults, "vision-node", []).apply:
                    pool = pool_of(body, defaults.pod_template)
                    yield f"worker-{pool.describer}", pool.pod_template


def pod(objects: list[Object], name: str) -> Object:
    """Return the pod template that `pods` yields under this name."""
    return dict(pods(objects))[name]


def containers(pod: Object) -> list[Object]:
    """Return all containers of a pod, including its init containers."""
    spec = pod["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]


def use_env(values: Values, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set this process's environment variables to those of a component's container."""
    (container,) = containers(pod(template(values), name))
    monkeypatch.setenv("POD_NAMESPACE", "ns")
    for variable in container["env"]:
        if "value" in variable:
            monkeypatch.setenv(variable["name"], variable["value"])

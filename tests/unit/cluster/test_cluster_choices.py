import pytest

from cluster.artifacts.golang import Program, parse
from cluster.artifacts.images import Images, build_arguments
from cluster.diagnosis import Container, hopeless
from cluster.engine import CAP_SYS_RESOURCE, has_capability
from cluster.errors import ClusterError
from cluster.existing_cluster import Choice, Delivery, decide_delivery
from cluster.release import namespace, provider_values, values

IMAGES = Images("vision-node-api:1", "vision-node-operator:2", "vision-node-describer:3", "minio:4")


@pytest.mark.parametrize(
    ("said", "expected"),
    [(None, Choice.KIND), ("", Choice.KIND), ("kind", Choice.KIND), ("current", Choice.CURRENT)],
)
def test_kind_is_used_unless_the_user_says_otherwise(
    said: str | None, expected: Choice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLUSTER", raising=False)
    if said is not None:
        monkeypatch.setenv("CLUSTER", said)
    assert Choice.from_environment() is expected


def test_an_unknown_choice_names_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLUSTER", "k3d")
    with pytest.raises(ClusterError, match="kind, minikube, current"):
        Choice.from_environment()


@pytest.mark.parametrize(
    ("context", "registry", "expected"),
    [
        ("kind-mine", "", Delivery.KIND),
        ("mini", "", Delivery.MINIKUBE),
        ("cloud", "ghcr.io/me", Delivery.PUSH),
        ("kind-mine", "ghcr.io/me", Delivery.PUSH),
    ],
)
def test_images_reach_the_current_cluster(context: str, registry: str, expected: Delivery) -> None:
    assert decide_delivery(context, registry, frozenset({"mini"})) is expected


def test_a_foreign_cluster_needs_a_registry() -> None:
    with pytest.raises(ClusterError, match="IMAGE_REGISTRY"):
        decide_delivery("cloud", "", frozenset())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("go1.26.8", (1, 26)),
        ("v4.3.1", (4, 3)),
        ("kind v0.33.0 go1.26.8 linux/amd64", (0, 33)),
        ("v3.22.0+gabcdef", (3, 22)),
        ("development", (0, 0)),
    ],
)
def test_versions_are_read(text: str, expected: tuple[int, int]) -> None:
    assert parse(text) == expected


def test_versions_are_compared_as_numbers() -> None:
    assert parse("go1.9") < parse("go1.26")


def test_the_linker_stamps_versions() -> None:
    program = Program("kube", module="kubernetes", variables=(("a.b", "v1"), ("a.c", "2")))
    assert program.flags == ["-trimpath", "-ldflags", "-s -w -X a.b=v1 -X a.c=2"]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("Name:\tpython3\nCapBnd:\t000001ffffffffff\n", True),
        ("Name:\tpython3\nCapBnd:\t000001fffeffffff\n", False),
        ("Name:\tpython3\n", False),
    ],
)
def test_a_missing_capability_is_seen(status: str, expected: bool) -> None:  # noqa: FBT001
    assert has_capability(status, CAP_SYS_RESOURCE) is expected


def test_build_arguments_are_passed_on_by_name_alone() -> None:
    environment = {"PIP_INDEX_URL": "https://user:secret@example.test", "HOME": "/root"}
    arguments = build_arguments(environment, base="", host_network=False)
    assert arguments == ["--build-arg=PIP_INDEX_URL"]


def test_a_home_made_base_replaces_the_dockerfiles_default() -> None:
    arguments = build_arguments({}, base="vision-node-python:1", host_network=True)
    assert arguments == ["--build-arg=BASE_IMAGE=vision-node-python:1", "--network=host"]


def test_pushed_images_are_renamed_all() -> None:
    assert IMAGES.renamed(lambda name: f"ghcr.io/me/{name}").api == "ghcr.io/me/vision-node-api:1"


def test_the_chart_is_told_its_images_and_the_port() -> None:
    assert values(IMAGES, 30080) == {
        "images": {
            "api": "vision-node-api:1",
            "operator": "vision-node-operator:2",
            "describer": "vision-node-describer:3",
            "minio": "minio:4",
        },
        "api": {"service": {"type": "NodePort", "nodePort": 30080}},
    }


@pytest.mark.parametrize(
    ("settings", "enabled"),
    [
        ({"OPENAI_API_KEY": "sk-1"}, True),
        ({"OPENAI_BASE_URL": "http://ollama:11434/v1"}, True),
        ({"OPENAI_VISION_MODEL": "gpt-4o"}, False),
    ],
)
def test_openai_is_enabled_when_it_has_a_key_or_a_server(
    settings: dict[str, str], *, enabled: bool
) -> None:
    assert provider_values(settings, "42") == {
        "providerSecret": "vision-node-provider",
        "providerSecretRevision": "42",
        "describers": {"openai": {"enabled": enabled}},
    }


def test_without_a_port_the_service_stays_as_the_chart_has_it() -> None:
    assert values(IMAGES, None)["api"] == {}


def test_the_namespace_enforces_the_strictest_pod_security() -> None:
    metadata = namespace()["metadata"]
    assert isinstance(metadata, dict)
    assert set(metadata["labels"].values()) == {"restricted"}
    assert len(metadata["labels"]) == 3


NOW, BEFORE = "2026-01-01T12:00:00Z", "2026-01-01T11:59:59Z"


@pytest.mark.parametrize(
    ("container", "expected"),
    [
        (
            Container(NOW, "api-1", 3, "CrashLoopBackOff"),
            "pod api-1 does not start: CrashLoopBackOff",
        ),
        (
            Container(NOW, "api-1", 0, "ErrImageNeverPull"),
            "pod api-1 does not start: ErrImageNeverPull",
        ),
        # What it needs may still be starting.
        (Container(NOW, "api-1", 2, "CrashLoopBackOff"), ""),
        (Container(NOW, "api-1", 0, "ContainerCreating"), ""),
        (Container(NOW, "api-1", 5, ""), ""),
        # The upgrade is about to replace it.
        (Container(BEFORE, "api-1", 9, "CrashLoopBackOff"), ""),
    ],
)
def test_waiting_ends_when_it_is_hopeless(container: Container, expected: str) -> None:
    assert hopeless([container], NOW) == expected


def test_a_container_is_read_from_kubectls_line() -> None:
    assert Container.parse(f"{NOW} api-1 2 CrashLoopBackOff") == Container(
        NOW, "api-1", 2, "CrashLoopBackOff"
    )
    assert Container.parse(f"{NOW} api-1 0 ") == Container(NOW, "api-1", 0, "")

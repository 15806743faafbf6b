"""Tests of the entrypoint of PostgreSQL's image, with programs that record how they are called."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import cluster
from cluster.artifacts import postgres_image

ENTRYPOINT = Path(cluster.__file__).parent.parent / postgres_image.FOLDER / "entrypoint"

SECONDS = 20
"""Time limit for one run."""

INITDB = """#!/bin/sh
case $1 in --pgdata=*) data=${1#--pgdata=} ;; esac
mkdir "$data"
echo 17 > "$data/PG_VERSION"
[ ! -e FOLDER/initdb-fails ]
"""

POSTGRES = """#!/bin/sh
case $1 in
  --version) echo "postgres (PostgreSQL) 17.12 (Debian 17.12-0+deb13u1)" ;;
  --single) tee -a FOLDER/statements | grep "FROM pg_database" >/dev/null && cat FOLDER/databases
    [ ! -e FOLDER/postgres-fails ] ;;
  *) echo "$@"; env | grep PASSWORD || : ;;
esac
"""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a volume, and with programs that take the place of PostgreSQL's."""
    for name, script in {"initdb": INITDB, "postgres": POSTGRES}.items():
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(script.replace("FOLDER", str(tmp_path)))
        program.chmod(0o755)

    (tmp_path / "volume").mkdir()
    (tmp_path / "databases").write_text("")
    return tmp_path


@pytest.fixture
def run(folder: Path) -> Run:
    """Run the entrypoint with these variables in addition to the usual ones."""

    def start(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        usual = {
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "PGDATA": str(folder / "volume/postgresql"),
            "TMPDIR": str(folder),
            "MEMORY_LIMIT_MI": "512",
            "VISION_NODE_ARCHIVER_PASSWORD": "secret-1",
            "VISION_NODE_API_PASSWORD": "secret-2",
        }
        return subprocess.run(
            [ENTRYPOINT, *arguments],
            env=usual | variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )

    return start


def statements(folder: Path) -> list[str]:
    """Return the statements that were executed. A blank line ends each of them."""
    text = (folder / "statements").read_text()
    return [statement for statement in text.split("\n\n") if statement.strip()]


def test_new_volume_gets_roles_and_a_database(run: Run, folder: Path) -> None:
    done = run()
    assert done.returncode == 0, done.stderr
    assert (folder / "volume/postgresql/PG_VERSION").read_text() == "17\n"

    executed = statements(folder)
    for role, limit, password in (
        ("vision_node_archiver", 20, "secret-1"),
        ("vision_node_api", 80, "secret-2"),
    ):
        (created,) = [it for it in executed if f"ALTER ROLE {role} LOGIN NOSUPERUSER" in it]
        assert created.endswith(f"CONNECTION LIMIT {limit} PASSWORD '{password}';")
    assert "CREATE DATABASE vision_node OWNER vision_node_archiver;" in executed


def test_existing_volume_gets_current_passwords(run: Run, folder: Path) -> None:
    run()
    (folder / "statements").unlink()
    (folder / "databases").write_text('\t 1: ?column? = "it exists"\n')
    (folder / "volume/postgresql/kept").touch()

    changed = {"VISION_NODE_API_PASSWORD": "it's new\\"}
    done = run(**changed)
    assert done.returncode == 0, done.stderr
    assert (folder / "volume/postgresql/kept").exists()

    executed = statements(folder)
    assert any(it.endswith("PASSWORD 'it''s new\\';") for it in executed)
    assert not any("CREATE DATABASE" in it for it in executed)


def test_server_gets_settings_that_fit_the_memory_but_no_passwords(run: Run, folder: Path) -> None:
    done = run("-c", "port=5433", MEMORY_LIMIT_MI="2048")
    assert done.stdout.split() == [
        *("-D", str(folder / "volume/postgresql")),
        *("-c", "config_file=/etc/vision-node/postgresql.conf"),
        *("-c", "shared_buffers=512MB"),
        *("-c", "effective_cache_size=1024MB"),
        *("-c", "maintenance_work_mem=256MB"),
        *("-c", "port=5433"),
    ]


def test_interrupted_initialization_begins_again(run: Run, folder: Path) -> None:
    (folder / "initdb-fails").touch()
    assert run().returncode != 0
    assert not (folder / "volume/postgresql").exists()
    assert (folder / "volume/postgresql.new").exists()

    (folder / "initdb-fails").unlink()
    done = run()
    assert done.returncode == 0, done.stderr
    assert [it.name for it in (folder / "volume").iterdir() if it.is_dir()] == ["postgresql"]


def test_data_of_another_major_version_is_refused(run: Run, folder: Path) -> None:
    run()
    (folder / "volume/postgresql/PG_VERSION").write_text("16\n")
    done = run()
    assert done.returncode == 1
    assert "PostgreSQL 16, but this is PostgreSQL 17" in done.stderr
    assert "docs/history.md" in done.stderr


def test_failure_to_set_up_the_roles_ends_the_container(run: Run, folder: Path) -> None:
    (folder / "postgres-fails").touch()
    done = run()
    assert (done.returncode, "the roles could not be set up" in done.stderr) == (1, True)


def test_volume_that_another_server_uses_is_refused(run: Run, folder: Path, tmp_path: Path) -> None:
    script = ENTRYPOINT.read_text().replace("LOCK_SECONDS=70", "LOCK_SECONDS=0")
    impatient = tmp_path / "impatient"
    impatient.write_text(script)

    lock = ["flock", str(folder / "volume/.lock"), "sh", str(impatient)]
    environment = {
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "PGDATA": str(folder / "volume/postgresql"),
        "VISION_NODE_ARCHIVER_PASSWORD": "a",
        "VISION_NODE_API_PASSWORD": "b",
    }
    done = subprocess.run(
        lock, env=environment, capture_output=True, text=True, check=False, timeout=SECONDS
    )
    assert (done.returncode, "another PostgreSQL still uses" in done.stderr) == (1, True)
    assert not (folder / "volume/postgresql").exists()


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"VISION_NODE_ARCHIVER_PASSWORD": ""}, "VISION_NODE_ARCHIVER_PASSWORD is not set"),
        ({"VISION_NODE_API_PASSWORD": "a\n\nb"}, "VISION_NODE_API_PASSWORD contains a control"),
        ({"MEMORY_LIMIT_MI": "64"}, "set postgres.resources.limits.memory to at least 128Mi"),
        ({"MEMORY_LIMIT_MI": "1Gi"}, "MEMORY_LIMIT_MI is 1Gi, which is not a number"),
    ],
)
def test_unusable_settings_are_refused_with_words(
    run: Run, folder: Path, variables: dict[str, str], message: str
) -> None:
    done = run(**variables)
    assert (done.returncode, message in done.stderr) == (1, True), done.stderr
    assert not (folder / "volume/postgresql").exists()


def test_no_password_is_printed(run: Run, folder: Path) -> None:
    done = run()
    (folder / "postgres-fails").touch()
    failed = run()
    for output in (done.stdout, done.stderr, failed.stdout, failed.stderr):
        assert "secret-" not in output

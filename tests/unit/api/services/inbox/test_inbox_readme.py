"""Test that a shell can run the README's command for uploading a whole folder."""

import asyncio
import re
import shutil
from pathlib import Path

import pytest
from api_fakes import picture
from fakes.s3 import S3
from vision_node_contract.clients.bucket import Bucket

LINE = re.compile(r"^find holiday .*$", re.MULTILINE)
ADDRESS = "http://127.0.0.1:8000"

pytestmark = pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")


@pytest.fixture
def line() -> str:
    (line,) = LINE.findall(Path("README.md").read_text())
    return line


NAMES = [*(f"holiday/{number}.jpg" for number in range(20)), "holiday/more/_DSC0001.jpg"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in [*NAMES, "holiday/my photo.jpg", "holiday/notes.txt"]:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture("JPEG"))
    return tmp_path


async def test_readme_command_uploads_a_folder(
    behind: tuple[S3, Bucket], port: int, line: str, folder: Path
) -> None:
    command = line.replace(ADDRESS, f"http://127.0.0.1:{port}")
    assert command != line

    pipe = asyncio.subprocess.PIPE
    shell = await asyncio.create_subprocess_shell(command, cwd=folder, stdout=pipe, stderr=pipe)
    out, errors = await shell.communicate()

    assert sorted(behind[0].objects) == sorted(f"inbox/aaaabbbbcccc/{name}" for name in NAMES)
    # Lines are not compared, because the output of parallel curl processes may be interleaved.
    assert set(re.findall(r'"name":"([^"]+)"', out.decode())) == set(NAMES)
    assert errors.decode().startswith("curl: ")  # because curl rejects the name with a space

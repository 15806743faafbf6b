"""Run the API behind a real nginx that terminates TLS, on loopback ports and without a cluster."""

import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from starlette.types import ASGIApp
from unit.api.api_fakes import Cluster, FakeBucket, batches_of, jobs_of
from unit.api.api_health import health_of
from unit.api.api_server import serving
from vision_node_api.app import attach_services, build_app
from vision_node_api.middleware.stack import add_middleware
from vision_node_api.web.http_settings import HttpSettings

START_SECONDS = 20.0
"""How long to wait until nginx listens. On an idle machine, it takes about 0.2 seconds."""

FORWARDED = """
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Prefix "{prefix}";
"""

CONFIGURATION = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
events {{}}
http {{
  access_log off;
  client_max_body_size 25m;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  upstream api {{
    server 127.0.0.1:{upstream};
    keepalive 4;
  }}
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {folder}/certificate.pem;
    ssl_certificate_key {folder}/key.pem;
    location {prefix}/ {{
      proxy_pass http://api{upstream_path};
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      {forwarded}
    }}
  }}
}}
"""
"""Configuration of nginx. By default, nginx sends the upstream's name in the Host header, so only
X-Forwarded-Host contains the host that the client used."""


@dataclass(frozen=True)
class ProxyRoute:
    """How nginx forwards requests to the API, and the matching settings of the API."""

    settings: HttpSettings
    prefix: str = ""
    strips_prefix: bool = False
    """Whether nginx removes the prefix from the path."""
    forwards_headers: bool = False
    """Whether nginx adds X-Forwarded-… headers to requests."""

    def configuration(self, folder: Path, port: int, upstream: int) -> str:
        """Return the configuration of nginx."""
        return CONFIGURATION.format(
            folder=folder,
            port=port,
            upstream=upstream,
            prefix=self.prefix,
            upstream_path="/" if self.strips_prefix else "",
            forwarded=FORWARDED.format(prefix=self.prefix) if self.forwards_headers else "",
        )


@dataclass(frozen=True)
class Site:
    """The API's public URL, and a client that trusts nginx's certificate."""

    root: str
    """URL without a trailing slash."""
    client: httpx.AsyncClient


@asynccontextmanager
async def site(route: ProxyRoute, folder: Path, cluster: Cluster) -> AsyncIterator[Site]:
    """Serve the API behind nginx."""
    async with site_of(application(route.settings, cluster), route, folder) as served:
        yield served


@asynccontextmanager
async def site_of(app: ASGIApp, route: ProxyRoute, folder: Path) -> AsyncIterator[Site]:
    """Serve an application behind nginx."""
    create_certificate(folder)

    async with serving(app) as upstream:
        port = free_port()
        (folder / "nginx.conf").write_text(route.configuration(folder, port, upstream))
        trust = ssl.create_default_context(cafile=str(folder / "certificate.pem"))

        with nginx(folder, port):
            async with httpx.AsyncClient(verify=trust, trust_env=False, timeout=30) as client:
                yield Site(f"https://127.0.0.1:{port}{route.prefix}", client)


def application(settings: HttpSettings, cluster: Cluster) -> ASGIApp:
    """Return the API with a bucket and a cluster that exist only in memory."""
    jobs = jobs_of(cluster, FakeBucket())
    app = build_app()
    attach_services(app, jobs, batches_of(cluster, jobs), health_of(jobs), {})
    return add_middleware(app, settings, app.state.metrics)


def create_certificate(folder: Path) -> None:
    """Create a self-signed certificate for 127.0.0.1."""
    key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
    subject = "-days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    files = ["-keyout", folder / "key.pem", "-out", folder / "certificate.pem"]
    command = ["openssl", "req", "-x509", *key.split(), *subject.split(), *files]
    subprocess.run(command, check=True, capture_output=True)


@contextmanager
def nginx(folder: Path, port: int) -> Iterator[None]:
    """Run nginx with the configuration in this folder for the duration of the block."""
    command = [program(), "-p", folder, "-c", folder / "nginx.conf", "-e", "stderr"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_for_port(port, process)
            yield
        finally:
            process.terminate()


def program() -> str:
    """Return the path of the nginx program.

    On Debian, the PATH of ordinary users does not include /usr/sbin.
    """
    found = os.environ.get("NGINX") or shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    return found or pytest.fail("nginx is not installed: run `python3 -m cluster nginx`")


def wait_for_port(port: int, process: "subprocess.Popen[str]") -> None:
    """Wait until nginx listens. If nginx exits first, fail with its error output."""
    deadline = time.monotonic() + START_SECONDS

    while time.monotonic() < deadline:
        if process.poll() is not None:
            pytest.fail(f"nginx exited: {process.stderr.read() if process.stderr else ''}")

        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return

    pytest.fail(f"nginx did not listen within {START_SECONDS:g} s")


def free_port() -> int:
    """Return a free loopback port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port

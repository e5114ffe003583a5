"""Container images around the built servers, for docker-compose.yml and docker-compose.local.yml."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from spanguard.errors import ResourceUnavailableError
from spanguard.stack.manifest import ServerSpec

_LINES_OF_A_FAILURE = 10


def image_name(server: str) -> str:
    """The name under which the compose files know a server's own image."""
    return f"spanguard/{server}:local"


def find_docker() -> Path:
    """The docker command.

    Raises:
        ResourceUnavailableError: there is none on the PATH.
    """
    found = shutil.which("docker")
    if found is None:
        raise ResourceUnavailableError(
            "making container images needs the docker command, and there is none on the PATH. Install Docker "
            "(https://docs.docker.com/engine/install/), or run the servers without containers: spanguard stack up"
        )
    return Path(found)


def make_image(docker: Path, name: str, spec: ServerSpec, *, program: Path, probe: Path, dockerfile: Path) -> None:
    """Make the image of one server, replacing an older one of its name.

    Raises:
        ResourceUnavailableError: docker fails; the message holds what it said.
    """
    with tempfile.TemporaryDirectory(prefix="spanguard-image-") as scratch:
        context = Path(scratch)
        shutil.copy(program, context / "server")
        shutil.copy(probe, context / "probe")
        (context / "data").mkdir()
        arguments = [f"--build-arg=DATA={spec.volume}"] if spec.volume else []
        made = subprocess.run(  # noqa: S603 - our own arguments, no shell
            [docker, "build", "--quiet", f"--tag={image_name(name)}", f"--file={dockerfile}", *arguments, context],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    if made.returncode:
        said = "\n".join(made.stderr.splitlines()[-_LINES_OF_A_FAILURE:])
        raise ResourceUnavailableError(
            f"docker could not make the image {image_name(name)} (exit code {made.returncode}). Its last lines:\n{said}"
        )

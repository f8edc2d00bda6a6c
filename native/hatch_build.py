"""Hatchling hook: build the workers into the scripts folder, beside the console scripts."""

import json
import os
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NATIVE = Path(__file__).parent


class NativeBuildHook(BuildHookInterface[Any]):
    """Runs `cargo build` for the wheel and for the editable install.

    Both get the release profile: a demo, a drill or an end-to-end test never runs debug workers.
    `TICKDECK_CARGO_PROFILE` names another profile; `TICKDECK_SKIP_NATIVE=1` leaves them out.
    """

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build and add every binary target of the workspace."""
        if os.environ.get("TICKDECK_SKIP_NATIVE"):
            return
        binaries = _cargo_build(os.environ.get("TICKDECK_CARGO_PROFILE", "release"))
        build_data["shared_scripts"] = {str(path): path.name for path in binaries}
        build_data["pure_python"] = False
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{platform}"


def _cargo_build(profile: str) -> list[Path]:
    """Build the workspace and return the executables that cargo reports."""
    command = ["cargo", "build", "--workspace", "--bins", "--locked", "--profile", profile]
    command.append("--message-format=json-render-diagnostics")
    result = subprocess.run(command, cwd=NATIVE, check=True, stdout=subprocess.PIPE, text=True)
    messages = map(json.loads, result.stdout.splitlines())
    artifacts = (m for m in messages if m["reason"] == "compiler-artifact")
    return sorted(Path(m["executable"]) for m in artifacts if m["executable"])

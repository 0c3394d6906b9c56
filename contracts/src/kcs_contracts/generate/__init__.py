"""What is written from `protocol` and `resources` of this package, so that nobody says it twice.

`python -m kcs_contracts.generate` (in `make generate`) writes the files; a test fails when one is
stale. `shapes` makes JSON schemas of all that travels, `structural` of what people apply to
Kubernetes; the other modules write a file each.
"""

import tomllib
from pathlib import Path

from kcs_contracts.generate.asyncapi import asyncapi
from kcs_contracts.generate.crds import crd_files
from kcs_contracts.generate.events_page import events_page
from kcs_contracts.generate.files import Files
from kcs_contracts.generate.resources_page import resources_page
from kcs_contracts.generate.typescript import typescript


def generated(root: Path) -> Files:
    """The files as they should be; `root` is the repository, which knows the release's version."""
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    return {
        "docs/events.md": events_page(),
        "docs/asyncapi.json": asyncapi(version),
        "docs/resources.md": resources_page(),
        "web/src/meeting/protocol.generated.ts": typescript(),
        **crd_files(),
    }

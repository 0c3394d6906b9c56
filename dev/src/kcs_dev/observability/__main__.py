"""Writes the files; started in the repository's root, by `make generate`."""

from pathlib import Path

from kcs_contracts.generate.files import write
from kcs_dev.observability.generated import generated

_files = generated()
for _path in _files:
    Path(_path).parent.mkdir(parents=True, exist_ok=True)
write(Path(), _files)

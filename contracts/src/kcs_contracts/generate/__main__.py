"""Writes the files; started in the repository's root, by `make generate`."""

from pathlib import Path

from kcs_contracts.generate import generated
from kcs_contracts.generate.files import write

write(Path(), generated(Path()))

#!/usr/bin/env python3
"""Writes several images as one OCI archive: what they share is in it once.

    images.py layer OUT.tar FOLDER
    images.py archive OUT.tar IMAGES.json

A layer is a folder as a tar file that is the same for the same content. IMAGES.json is a list of
`{"name": "localhost/kcs-meetings/redis:dev", "layers": [...], "entrypoint": [...], "env": {}}`.
`images.sh` makes the folders; `node.sh` writes the node's own image with it.

Source: https://github.com/opencontainers/image-spec (image-layout.md, config.md)
"""

import hashlib
import io
import json
import platform
import sys
import tarfile
from pathlib import Path
from typing import Any

UID = 65532
"""Who the processes are."""
_MEDIA = "application/vnd.oci.image"
_PATH = "/usr/local/bin:/usr/bin:/bin"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def write_layer(out: Path, folder: Path) -> None:
    """The folder's content as a layer that belongs to root and has no times."""

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = entry.mtime = 0
        entry.uname = entry.gname = ""
        runs = entry.isdir() or entry.mode & 0o100
        entry.mode |= 0o555 if runs else 0o444  # whoever built it: the image's user must read it
        return entry

    unfinished = out.with_suffix(".unfinished")
    with tarfile.open(unfinished, "w", format=tarfile.GNU_FORMAT) as tar:
        for path in sorted(folder.iterdir()):  # `add` sorts what is below
            tar.add(path, arcname=path.name, filter=plain)
    unfinished.rename(out)


class Archive:
    """An image layout in a tar file; what is put twice is in it once."""

    def __init__(self, tar: tarfile.TarFile):
        self._tar = tar
        self._layers: dict[Path, dict[str, Any]] = {}
        self._manifests: list[dict[str, Any]] = []

    def add_image(self, image: dict[str, Any]) -> None:
        """Its layers, its configuration and its manifest."""
        layers = [self._layer(Path(each)) for each in image["layers"]]
        env = {"PATH": _PATH, "LANG": "C.UTF-8", **image.get("env", {})}
        config = {
            "architecture": _ARCHITECTURES[platform.machine()],
            "os": "linux",
            "config": {
                "User": f"{UID}:{UID}",
                "Entrypoint": image["entrypoint"],
                "Env": [f"{name}={value}" for name, value in env.items()],
            },
            "rootfs": {"type": "layers", "diff_ids": [each["digest"] for each in layers]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{_MEDIA}.manifest.v1+json",
            "config": self._json(config, "config"),
            "layers": layers,
        }
        names = {
            "io.containerd.image.name": image["name"],
            "org.opencontainers.image.ref.name": image["name"].rpartition(":")[2],
        }
        self._manifests.append({**self._json(manifest, "manifest"), "annotations": names})

    def close(self) -> None:
        """Writes the index of all images."""
        index = {"schemaVersion": 2, "manifests": self._manifests}
        self._put("index.json", json.dumps(index).encode())
        self._put("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')

    def _layer(self, path: Path) -> dict[str, Any]:
        if path not in self._layers:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            self._layers[path] = _descriptor("layer.v1.tar", digest, path.stat().st_size)
            self._tar.add(path, arcname=f"blobs/sha256/{digest}")
        return self._layers[path]

    def _json(self, value: object, kind: str) -> dict[str, Any]:
        data = json.dumps(value).encode()
        digest = hashlib.sha256(data).hexdigest()
        self._put(f"blobs/sha256/{digest}", data)
        return _descriptor(f"{kind}.v1+json", digest, len(data))

    def _put(self, name: str, data: bytes) -> None:
        entry = tarfile.TarInfo(name)
        entry.size = len(data)
        self._tar.addfile(entry, io.BytesIO(data))


def _descriptor(kind: str, digest: str, size: int) -> dict[str, Any]:
    return {"mediaType": f"{_MEDIA}.{kind}", "digest": f"sha256:{digest}", "size": size}


def write_archive(out: Path, images: list[dict[str, Any]]) -> None:
    """All images in one file, which is there as a whole or not at all."""
    unfinished = out.with_suffix(".unfinished")
    with tarfile.open(unfinished, "w") as tar:
        archive = Archive(tar)
        for image in images:
            archive.add_image(image)
        archive.close()
    unfinished.rename(out)


def main() -> None:
    """The command line."""
    match sys.argv[1:]:
        case ["layer", out, folder]:
            write_layer(Path(out), Path(folder))
        case ["archive", out, images]:
            write_archive(Path(out), json.loads(Path(images).read_text()))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()

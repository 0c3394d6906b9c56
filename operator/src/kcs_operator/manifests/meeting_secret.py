"""The Secret with the way in of a declared meeting's host."""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

from kcs_contracts.labels import APPLICATION, INSTANCE, MANAGED_BY, NAME, OPERATOR
from kcs_contracts.resources.v1alpha1.common import API_VERSION

TOKEN, URL = "hostToken", "hostURL"
_SUFFIX = "-host"
_LONGEST = 253


def secret_name(meeting: str) -> str:
    """`<meeting>-host`; of a meeting with a very long name, its beginning and a hash."""
    if len(meeting) + len(_SUFFIX) <= _LONGEST:
        return meeting + _SUFFIX
    digest = hashlib.sha256(meeting.encode()).hexdigest()[:10]
    return f"{meeting[:200].rstrip('-.')}-{digest}{_SUFFIX}"


def secret(meeting: Mapping[str, Any], instance: str, token: str, url: str) -> dict[str, Any]:
    """The Secret; it goes with the Meeting, which owns it."""
    meta = meeting["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": secret_name(meta["name"]),
            "namespace": meta["namespace"],
            "labels": {NAME: APPLICATION, MANAGED_BY: OPERATOR, INSTANCE: instance},
            "ownerReferences": [
                {
                    "apiVersion": API_VERSION,
                    "kind": "Meeting",
                    "name": meta["name"],
                    "uid": meta["uid"],
                    "controller": True,
                    "blockOwnerDeletion": False,
                }
            ],
        },
        "type": "Opaque",
        "data": _data(token, url),
    }


def renewal(meeting: Mapping[str, Any], token: str, url: str) -> list[dict[str, Any]]:
    """A JSON patch that puts another token in, if the Secret is this meeting's and nobody else's.

    So nobody has to read Secrets to know whose one is.
    """
    owner = {"op": "test", "path": "/metadata/ownerReferences/0/uid"}
    return [
        {**owner, "value": meeting["metadata"]["uid"]},
        {"op": "add", "path": "/data", "value": _data(token, url)},
    ]


def _data(token: str, url: str) -> dict[str, str]:
    said = {TOKEN: token, URL: url}
    return {key: base64.b64encode(value.encode()).decode() for key, value in said.items()}

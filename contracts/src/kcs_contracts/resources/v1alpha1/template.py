"""How a pool's pods differ from those that the operator makes by itself: `spec.template`."""

from typing import Annotated, Any

from pydantic import Field, StringConstraints

from kcs_contracts.resources.v1alpha1.common import (
    GROUP,
    SET,
    Resource,
    Rule,
    Says,
    keyed_by,
)

EnvName = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128),
    Says("a variable's name has letters, digits and _ and begins with no digit"),
]
Quantity = str | int
"""An amount as in a pod: 2, 500m, 1.5Gi. What is none is refused by a rule of `Resources`."""
SecretName = Annotated[
    str,
    StringConstraints(
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        max_length=253,
    ),
    Says("a Secret's name has small letters, digits, dots and -, such as images.example.org"),
]
LabelValue = Annotated[str, StringConstraints(max_length=63)]
AnnotationValue = Annotated[str, StringConstraints(max_length=4096)]


class EnvVar(Resource):
    """A variable of the containers' environment."""

    rules = (
        Rule(
            "!self.name.matches(r'(?i)^KCS_(CONTROL|MEDIA|REDIS|TICKETS|DRAIN)__') && "
            "!self.name.matches(r'(?i)^KCS_NODE__(NAME|REGION|POOL|WORKERS|CONSUMERS_PER_WORKER|"
            "EGRESS_MBPS)$')",
            "the operator sets this variable itself, from the pool's other fields",
            at=".name",
        ),
    )

    name: EnvName
    """Its name."""
    value: Annotated[str, StringConstraints(max_length=4096)] = ""
    """Its value."""


def _quantities(field: str) -> Rule:
    amount = f"self.{field}[name]"
    return Rule(
        f"self.{field}.all(name, type({amount}) == int ? {amount} >= 0 : "
        f"isQuantity({amount}) && !{amount}.startsWith('-'))",
        "quantities are written as 500m, 2, 1.5 or 1Gi",
        at=f".{field}",
    )


def _metadata(field: str) -> tuple[Rule, ...]:
    """Rules for labels or annotations: what the API server would refuse on each pod."""
    return (
        Rule(
            f"self.{field}.all(key, !key.startsWith('{GROUP}/') && "
            "!key.startsWith('app.kubernetes.io/'))",
            f"{GROUP}/ and app.kubernetes.io/ are the operator's own",
            at=f".{field}",
        ),
        Rule(
            f"self.{field}.all(key, !format.qualifiedName().validate(key).hasValue())",
            "a key is written as team or example.org/team, its last part of at most 63 characters",
            at=f".{field}",
        ),
    )


class Resources(Resource):
    """What the container asks for, as in a pod."""

    rules = (_quantities("requests"), _quantities("limits"))

    requests: dict[str, Quantity] = Field(default={}, max_length=10)
    """What it has for sure, such as `cpu: 500m` and `memory: 1Gi`."""
    limits: dict[str, Quantity] = Field(default={}, max_length=10)
    """What it gets at most."""


class PodTemplate(Resource):
    """What differs from the pods that the operator makes by itself."""

    rules = (
        *_metadata("labels"),
        *_metadata("annotations"),
        Rule(
            "self.labels.all(key, !format.labelValue().validate(self.labels[key]).hasValue())",
            "a label's value has at most 63 letters, digits, dots, _ and -",
            at=".labels",
        ),
    )

    image: Annotated[str, StringConstraints(min_length=1, max_length=512)] | None = None
    """The SFU image, instead of the operator's own version of it."""
    labels: dict[str, LabelValue] = Field(default={}, max_length=30)
    """More labels."""
    annotations: dict[str, AnnotationValue] = Field(default={}, max_length=30)
    """More annotations."""
    node_selector: dict[str, LabelValue] = Field(default={}, max_length=30)
    """Kubernetes nodes by label."""
    tolerations: tuple[dict[str, Any], ...] = Field(default=(), max_length=50)
    """Taints that the pods bear, as in a pod."""
    affinity: dict[str, Any] | None = None
    """Affinity, as in a pod."""
    resources: Resources = Resources()
    """CPU and memory of the SFU container. Where neither a request nor a limit is said, it asks for
    half a core per worker, and for 128Mi of memory and 64Mi per worker. A coturn pod asks for 100m
    and 64Mi, whatever is said here."""
    priority_class_name: Annotated[str, StringConstraints(max_length=253)] | None = None
    """The pods' priority class."""
    env: tuple[EnvVar, ...] = Field(default=(), max_length=50, json_schema_extra=keyed_by("name"))
    """More variables of the SFU container."""
    image_pull_secrets: tuple[SecretName, ...] = Field(
        default=(), max_length=10, json_schema_extra=SET
    )
    """Secrets for pulling the images."""

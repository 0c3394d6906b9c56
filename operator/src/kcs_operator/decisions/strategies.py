"""Names of the strategies of placement: as the pool says them, and as placement does."""

from kcs_contracts.placement.models import Strategy
from kcs_contracts.resources.v1alpha1 import SFUPoolSpec

_STRATEGIES: dict[str, Strategy] = {
    "Packed": "packed",
    "Spread": "spread",
    "ConsistentHash": "consistent_hash",
}


def strategy_of(spec: SFUPoolSpec) -> Strategy:
    """The pool's."""
    return _STRATEGIES[spec.placement]

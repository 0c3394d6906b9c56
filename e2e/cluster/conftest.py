"""One cluster with a real node for all tests in this folder; it needs root (see `node.sh`)."""

from collections.abc import Iterator

import pytest
from tests.support.kubernetes import Kubernetes, Namespace


@pytest.fixture(scope="session")
def real_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubernetes]:
    """Kubernetes with a node on which pods really run, with the images of `images.sh`."""
    cluster = Kubernetes(tmp_path_factory.mktemp("kubernetes") / "node", node=True)
    cluster.start()
    yield cluster
    cluster.stop()


@pytest.fixture
def namespace(real_cluster: Kubernetes) -> Namespace:
    """This test's own namespace on that cluster."""
    return real_cluster.new_namespace()

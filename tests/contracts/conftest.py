from __future__ import annotations

import pytest

from tests.contracts.client import Client, stocked_client
from tests.contracts.office import Office


@pytest.fixture
def office() -> Office:
    """Six departments, nine people, two gateways, the default policy, nothing recorded."""
    return Office()


@pytest.fixture
def stocked(office: Office) -> Office:
    """With one valid customer c1, registered by li of sales."""
    office.register("c1", position="经理", note="来电优先")
    return office


@pytest.fixture
def client(office: Office) -> Client:
    """A client organisation with people, relations and a project: see `stocked_client`."""
    return stocked_client(office)

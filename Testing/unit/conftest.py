"""Model folders and sessions that several test files share."""

from __future__ import annotations

import pytest

from ElasticHyperRegLib.session import Session
from Testing.unit.live_answers import ALONE
from Testing.unit.small_pair import small_request


@pytest.fixture
def models(tmp_path, monkeypatch):
    """The user's model folder of this test, empty."""
    folder = tmp_path / "models"
    monkeypatch.setenv("ELASTIC_HYPERREG_MODELS", str(folder))
    return folder


@pytest.fixture(scope="module")
def session():
    """Of the small pair, answered by the solver alone."""
    with Session.from_request(small_request(options=ALONE)) as made:
        yield made

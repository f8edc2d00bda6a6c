"""Fixtures of the integration tests."""

from collections.abc import AsyncIterator

import pytest

from fake_plant import Plant, private_directory


@pytest.fixture
async def plant(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Plant]:
    """A private plant of fake workers; nothing of it is left behind."""
    with private_directory() as directory:
        plant = Plant(directory)
        monkeypatch.setenv("TICKDECK_NATIVE_DIR", str(plant.native))
        yield plant
        await plant.close()

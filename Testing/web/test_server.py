"""A server for others: token, limits, the data folder, zipped DICOM, in a real browser."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..unit.test_io_dicom import stack, write_series
from .conftest import Served, Tab, serving

pytestmark = pytest.mark.slow
TOKEN = "a long secret"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """What the server may read: one DICOM series, zipped, and as it is."""
    root = tmp_path_factory.mktemp("data")
    slices = write_series(root / "ct", stack(5))
    with zipfile.ZipFile(root / "ct.zip", "w") as archive:
        for path in slices:
            archive.write(path, path.name)
    return root


@pytest.fixture(scope="module")
def guarded(folder: Path) -> Iterator[Served]:
    """A server that other machines can reach."""
    pytest.importorskip("trame_slicer", reason="the extra app is not installed")
    limits = ("--max-sessions", "1", "--max-upload", "1", "--data", str(folder))
    with serving("--host", "0.0.0.0", "--token", TOKEN, *limits) as served:
        yield served


@pytest.fixture(scope="module")
def guest(browser: Any, guarded: Served) -> Iterator[Tab]:
    """A tab of somebody who knows the token, in the dialog that opens a pair."""
    tab = Tab(browser, guarded.url)
    tab.page.wait_for_selector(".open-dialog")
    yield tab
    tab.page.close()


def test_without_the_token_nothing_is_served(browser, guarded):
    page = browser.new_page()
    address = guarded.url.partition("?")[0]
    for query in ("", "?token=wrong+secret"):
        assert page.goto(address + query).status == 401
        assert "token" in page.inner_text("body")
    page.close()


def test_with_the_token_the_page_opens_and_forgets_it(guest):
    assert "token" not in guest.page.url
    assert guest.page.locator('[data-action="start"]').is_visible()


def test_a_second_session_is_refused(browser, guarded, guest):
    page = browser.new_page()
    assert page.goto(guarded.url).status == 503
    assert "All sessions are in use" in page.inner_text("body")
    page.close()


def test_the_data_folder_is_offered_and_nothing_else(guest):
    role = guest.page.locator('[data-role="fixed"]')
    role.locator(".v-autocomplete").click()
    offered = guest.page.locator(".v-overlay--active .v-list-item")
    offered.first.wait_for()
    assert offered.all_inner_texts() == ["ct"]
    offered.first.click()
    role.locator(".given", has_text="ct").wait_for()


def test_zipped_dicom_is_taken(guest, folder):
    role = guest.page.locator('[data-role="moving"]')
    role.locator("input[type=file]").set_input_files(folder / "ct.zip")
    role.locator(".given", has_text="ct.zip").wait_for()


def test_an_upload_over_the_limit_is_refused(guest, tmp_path):
    large = tmp_path / "large.nii.gz"
    large.write_bytes(bytes(2 << 20))
    role = guest.page.locator('[data-role="fixed_labels"]')
    role.locator("input[type=file]").set_input_files(large)
    role.locator(".problem", has_text="larger than 1 MiB").wait_for()
    assert guest.errors == []

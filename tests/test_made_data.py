"""The files of tests/data that a script makes are what the script makes."""

import pytest
from paths import DATA

pytest.importorskip("pycrate_asn1dir")
from make_data import files


def test_the_files_of_tests_data_are_those_that_the_script_makes() -> None:
    texts = files()
    assert {name: (DATA / name).read_text() for name in texts} == texts

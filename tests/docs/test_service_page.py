"""The page on the service: its code runs, and it names every path of the API."""

import re
from pathlib import Path

from tests.docs.blocks import ROOT, printed_by
from tests.serving.desk import served

PAGE = "docs/service.md"


def test_its_code_runs() -> None:
    assert len(printed_by(PAGE)) == 3


def test_its_table_has_every_kind_of_thing_that_the_api_has() -> None:
    page = Path(ROOT, PAGE).read_text("utf-8")
    with served() as at:
        paths = [path for path in at.get("/openapi.json").json()["paths"] if path.startswith("/v1/")]
    for path in paths:
        last = re.sub(r"\{\w+\}", "", path).rstrip("/").rsplit("/", 1)[-1]
        assert f"/{last}" in page, path

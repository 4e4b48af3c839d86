"""The page with the access review says what the shipped workflows say."""

from interlock.rules.claims.access import Touch
from tests.docs.access_review_page import PAGE, page


def test_the_page_is_as_the_workflows_have_it() -> None:
    assert PAGE.read_text("utf-8") == page(), "write it anew: python -m tests.docs.access_review_page"


def test_it_explains_every_way_in_which_an_instance_is_touched() -> None:
    assert [touch for touch in Touch if f"`{touch.value}`" not in page()] == []

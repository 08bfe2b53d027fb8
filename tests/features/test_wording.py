"""Sentences agree with their counts."""

from features.wording import agreeing, plural


def test_one_is_singular_and_everything_else_plural() -> None:
    assert [plural(count, "row") for count in (0, 1, 2, 1200)] == ["0 rows", "1 row", "2 rows", "1,200 rows"]
    assert plural(1, "column is", "columns are") == "1 column is"
    assert plural(3, "class", "classes") == "3 classes"
    assert [agreeing(count, "it", "them") for count in (1, 2)] == ["it", "them"]

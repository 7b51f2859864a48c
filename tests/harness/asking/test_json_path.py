import pytest

from harness.asking.json_path import find, parse

VALUE = {"a": {"b": [{"t": 1}, {"t": 2}, {"u": 3}]}, "x.y": 4, "n": None}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$", [VALUE]),
        ("n", [None]),
        ("$.a.b[0].t", [1]),
        ("a.b[-1].u", [3]),
        ("a.b[*].t", [1, 2]),
        ('["x.y"]', [4]),
        ("$['a'].b[1].t", [2]),
        ("a.b[7]", []),
        ("a.c", []),
        ("a[0]", []),
        ("n.x", []),
    ],
)
def test_what_stands_at_a_path(path: str, found: list[object]) -> None:
    assert find(VALUE, parse(path)) == found


@pytest.mark.parametrize("path", ["", ".a", "a..b", "a[b]", "a[", "a b", "$$", "a.0", "a[1:2]", "..a"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="path"):
        parse(path)

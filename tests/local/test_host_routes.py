"""Route templates, as ASP.NET matches them."""

import pytest

from local.host.routes import compile_route


def match(template: str, path: str) -> dict[str, str] | None:
    return compile_route(template).match(path)


@pytest.mark.parametrize(
    ("template", "path", "expected"),
    [
        ("api/items", "api/items", {}),
        ("api/items", "API/Items/", {}),
        ("api/items", "api/items/1", None),
        ("api/items/{id}", "api/items/a b", {"id": "a b"}),
        ("api/items/{id}", "api/items", None),
        ("api/items/{id}", "api/items/", None),
        ("api/{id?}", "api", {}),
        ("api/{id?}", "api/7", {"id": "7"}),
        ("api/{page=1}", "api", {"page": "1"}),
        ("api/{page=1}", "api/2", {"page": "2"}),
        ("api/{*rest}", "api", {}),
        ("api/{*rest}", "api/a/b.c", {"rest": "a/b.c"}),
        ("{**rest}", "", {}),
        ("/{nothing:maxlength(0)?}", "", {}),
        ("/{nothing:maxlength(0)?}", "/", {}),
        ("/{nothing:maxlength(0)?}", "x", None),
        ("api/{a}/x/{b}", "api/1/x/2", {"a": "1", "b": "2"}),
        ("f/{name}.{ext}", "f/a.tar.gz", {"name": "a.tar", "ext": "gz"}),
        ("f/v{major}", "f/v2", {"major": "2"}),
        ("a.b/{{x}}", "a.b/{x}", {}),
        ("a.b", "axb", None),
    ],
)
def test_a_template_takes_a_path_apart(template: str, path: str, expected: dict[str, str] | None) -> None:
    assert match(template, path) == expected


@pytest.mark.parametrize(
    ("constraint", "good", "bad"),
    [
        ("int", "-2147483648", "2147483648"),
        ("long", "2147483648", "9223372036854775808"),
        ("int", "7", "7.5"),
        ("bool", "True", "yes"),
        ("alpha", "abc", "ab1"),
        ("guid", "cd2c1638-1638-72d5-1638-deadbeef1638", "cd2c1638"),
        ("datetime", "2026-11-24", "24 November"),
        ("decimal", "1.5", "1,5x"),
        ("length(3)", "abc", "ab"),
        ("length(1,2)", "ab", "abc"),
        ("minlength(2)", "ab", "a"),
        ("maxlength(2)", "ab", "abc"),
        ("min(5)", "5", "4"),
        ("max(5)", "5", "x"),
        ("range(1,3)", "3", "4"),
        ("int:min(1)", "1", "0"),
        (r"regex(^\d{{3}}-(a|b)$)", "123-A", "123-c"),
    ],
)
def test_a_constraint_decides_whether_the_route_matches(constraint: str, good: str, bad: str) -> None:
    template = f"x/{{value:{constraint}}}"
    assert match(template, f"x/{good}") == {"value": good}
    assert match(template, f"x/{bad}") is None


def test_an_optional_parameter_may_be_constrained() -> None:
    assert match("x/{id:int?}", "x") == {}
    assert match("x/{id:int?}", "x/a") is None


def test_the_most_specific_template_comes_first() -> None:
    templates = ["x/{*rest}", "x/{id}", "x/{id:int}", "x/one", "x/{*rest:alpha}", "x"]
    ranked = sorted(templates, key=lambda template: compile_route(template).precedence)
    assert ranked == ["x", "x/one", "x/{id:int}", "x/{id}", "x/{*rest:alpha}", "x/{*rest}"]


@pytest.mark.parametrize("template", ["x/{id:nope}", "x/{id", "x/id}", "x/a{*rest}", "x/{a?}.txt"])
def test_a_template_that_cannot_be_served_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="route"):
        compile_route(template)

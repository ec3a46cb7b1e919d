import pytest

from cptoolkit.middleware.nearest import did_you_mean, nearest


@pytest.mark.parametrize(
    ("name", "match"),
    [
        pytest.param("prodution", "production", id="a letter missing"),
        pytest.param("Production", "production", id="other case"),
        pytest.param("zzz", None, id="nothing like it"),
    ],
)
def test_nearest_name(name, match):
    assert nearest(name, ["staging", "production"]) == match


def test_message_ends_with_the_suggestion():
    assert did_you_mean("stagin", ["staging"]) == "; did you mean 'staging'?"


def test_message_ends_with_nothing_when_nothing_is_near():
    assert did_you_mean("x", ["staging"]) == ""

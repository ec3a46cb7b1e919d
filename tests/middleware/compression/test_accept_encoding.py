"""The choice of a content coding, by what the client says of them (RFC 9110, 12.5.3)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from webob.acceptparse import create_accept_encoding_header

from cptoolkit.middleware.compression.accept_encoding import choose

TAKEN = [
    pytest.param("", None, True, id="no field"),
    pytest.param("gzip", "gzip", True, id="gzip"),
    pytest.param("GZip", "gzip", True, id="in any case"),
    pytest.param("x-gzip", "gzip", True, id="by its old name"),
    pytest.param("gzip;q=0", None, True, id="q=0 is a refusal"),
    pytest.param("gzip;q=0.001", "gzip", True, id="liked a little is liked"),
    pytest.param("deflate", None, True, id="another one"),
    pytest.param("identity", None, True, id="as it is"),
    pytest.param("gzip, identity", "gzip", True, id="either"),
    pytest.param("gzip;q=0.5, identity", None, True, id="rather as it is"),
    pytest.param("gzip, identity;q=0.5", "gzip", True, id="rather not as it is"),
    pytest.param("*", "br", True, id="anything"),
    pytest.param("br;q=0, *", "gzip", True, id="anything but br"),
    pytest.param("gzip, br;q=0.5", "gzip", True, id="the liked best"),
    pytest.param("br;q=0.5, gzip;q=0.5", "br", True, id="of two alike ours"),
    pytest.param("gzip, *;q=0", "gzip", False, id="gzip and nothing else"),
    pytest.param("gzip, identity;q=0", "gzip", False, id="not as it is"),
    pytest.param("identity;q=0", None, False, id="nothing that there is"),
    pytest.param("*;q=0", None, False, id="nothing at all"),
    pytest.param("*;q=0, identity", None, True, id="only as it is"),
    pytest.param("gzip,deflate,", "gzip", True, id="a comma too many"),
    pytest.param("gzip;q=high", None, True, id="malformed counts as none"),
]


@pytest.mark.parametrize(("field", "coding", "identity"), TAKEN)
def test_choice_goes_by_q_values(field, coding, identity):  # RFC 9110, section 12.5.3
    assert choose(field, ("br", "gzip")) == (coding, identity)


@given(
    st.lists(
        st.tuples(st.sampled_from(["gzip", "br", "*", "identity"]), st.sampled_from([0, 0.5, 1])),
        min_size=1,
        max_size=4,
        unique_by=lambda element: element[0],
    )
)
def test_choice_is_one_that_webob_finds_acceptable(elements):
    field = ", ".join(f"{coding};q={weight}" for coding, weight in elements)
    coding, identity = choose(field, ("br", "gzip"))
    header = create_accept_encoding_header(field)
    acceptable = dict(header.acceptable_offers(["br", "gzip", "identity"]))
    assert identity is ("identity" in acceptable)
    if coding is not None:
        assert acceptable[coding] == max(
            weight for name, weight in acceptable.items() if name != "identity"
        )

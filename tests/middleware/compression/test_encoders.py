"""The content codings: what goes in comes out again, whole and in pieces."""

import sys
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cptoolkit.middleware.compression import encoders
from cptoolkit.middleware.compression.encoders import ENCODERS, ZSTD_MODULE, encoder_maker, library


class Decoder:
    """What a client does."""

    def __init__(self, coding):
        if coding == "gzip":
            self.decode = zlib.decompressobj(31).decompress
        elif coding == "br":
            self.decode = library("brotli", "brotli").Decompressor().process
        else:
            self.decode = library(ZSTD_MODULE, "zstd").ZstdDecompressor().decompress


@pytest.fixture(params=list(ENCODERS))
def coding(request):
    if request.param != "gzip":
        module = {"br": "brotli", "zstd": ZSTD_MODULE}[request.param]
        pytest.importorskip(module, reason=f"needs {module}")
    return request.param


@pytest.fixture
def make(coding):
    return encoder_maker(coding, 4, "level")


def test_whole_body_comes_out_again(coding, make):
    @given(st.binary(max_size=2000))
    def check(data):
        assert Decoder(coding).decode(make().whole(data)) == data

    check()


def test_pieces_come_out_again(coding, make):
    @given(st.lists(st.binary(max_size=200), max_size=8))
    def check(pieces):
        encoder = make()
        packed = b"".join(encoder.feed(piece) for piece in pieces) + encoder.finish()
        assert Decoder(coding).decode(packed) == b"".join(pieces)

    check()


def test_what_was_flushed_can_be_read_at_once(coding, make):
    encoder, client = make(), Decoder(coding)
    for piece in (b"one", b"two" * 1000, b"three"):
        assert client.decode(encoder.feed(piece) + encoder.flush()) == piece
    assert client.decode(encoder.finish()) == b""


def test_same_data_give_the_same_bytes(make):
    assert make().whole(b"page" * 1000) == make().whole(b"page" * 1000)


def test_gzip_tells_no_time():
    assert encoder_maker("gzip", 5, "level")().whole(b"page")[:8] == b"\x1f\x8b\x08" + b"\0" * 5


def test_every_level_works(coding):
    for level in ENCODERS[coding].levels:
        packed = ENCODERS[coding](level).whole(b"page" * 100)
        assert Decoder(coding).decode(packed) == b"page" * 100


def test_window_of_zstd_is_one_that_clients_take():  # RFC 9659
    zstd = pytest.importorskip(ZSTD_MODULE, reason=f"needs {ZSTD_MODULE}")
    encoder = encoder_maker("zstd", ENCODERS["zstd"].levels[-1], "level")()
    packed = encoder.feed(b"page" * 10_000_000) + encoder.finish()
    limit = {zstd.DecompressionParameter.window_log_max: 23}  # 2 ** 23 bytes are 8 MiB
    decoder = zstd.ZstdDecompressor(options=limit)
    assert len(decoder.decompress(packed, max_length=1000)) == 1000


@pytest.mark.parametrize(
    ("coding", "level", "levels"),
    [
        ("gzip", -1, "from 0 to 9"),
        ("gzip", 10, "from 0 to 9"),
        ("gzip", "5", "from 0 to 9"),
        ("gzip", True, "from 0 to 9"),
        ("br", 12, "from 0 to 11"),
        ("zstd", 0, "from 1 to 19"),
        ("zstd", 20, "from 1 to 19"),
    ],
)
def test_level_that_is_none_is_refused(coding, level, levels):
    with pytest.raises(ValueError, match=f"x_level must be a number {levels}, got {level!r}"):
        encoder_maker(coding, level, "x_level")


@pytest.mark.parametrize(("coding", "extra"), [("br", "brotli"), ("zstd", "zstd")])
def test_missing_library_is_told_with_the_extra_that_brings_it(monkeypatch, coding, extra):
    monkeypatch.setitem(sys.modules, "brotli", None)
    monkeypatch.setitem(sys.modules, ZSTD_MODULE, None)
    monkeypatch.setattr(encoders, "library", library.__wrapped__)  # one that has found nothing yet
    with pytest.raises(ImportError, match=rf"pip install 'cptoolkit\[{extra}\]'"):
        encoder_maker(coding, 4, "level")

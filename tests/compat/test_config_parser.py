import pytest

from cptoolkit.config_parser import Parser

TEXT = """
[global]
server.socket_port = 9090
[/]
tools.staticdir.Root = "/srv/" + "www"
"""
READ = {"global": {"server.socket_port": 9090}, "/": {"tools.staticdir.Root": "/srv/www"}}


def test_file_becomes_a_dict(tmp_path):
    path = tmp_path / "site.conf"
    path.write_text(TEXT)
    assert Parser().dict_from_file(str(path)) == READ


def test_what_has_been_read_becomes_a_dict(tmp_path):
    path = tmp_path / "site.conf"
    path.write_text(TEXT)
    parser = Parser()
    parser.read([str(path)])
    assert parser.as_dict() == READ


def test_value_that_is_no_python_is_told_with_its_place():
    parser = Parser()
    parser.read_string("[/]\nkey = 1 +")
    with pytest.raises(ValueError, match=r"section \[/\], key 'key': "):
        parser.as_dict()

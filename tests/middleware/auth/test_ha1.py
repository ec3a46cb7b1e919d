"""Where DigestAuth finds HA1: plain passwords, hashes, htdigest files."""

import os

import pytest

from cptoolkit.middleware.auth.ha1 import (
    algorithm_of,
    get_ha1_dict,
    get_ha1_dict_plain,
    get_ha1_file_htdigest,
    make_ha1,
)

MD5 = make_ha1("jon", "site", "secret")
SHA = make_ha1("jon", "site", "secret", "SHA-256")


def test_ha1_is_the_hash_of_name_realm_and_password():
    # RFC 2617, section 3.5, for "Mufasa:testrealm@host.com:Circle Of Life".
    ha1 = make_ha1("Mufasa", "testrealm@host.com", "Circle Of Life")
    assert ha1 == "939e7578ed9e3c518a452acee763bce9"
    # RFC 7616, section 3.9.1, for "Mufasa:http-auth@example.org:Circle of Life".
    ha1 = make_ha1("Mufasa", "http-auth@example.org", "Circle of Life", "SHA-256")
    assert ha1 == "7987c64c30e25f1b74be53f966b49b90f2808aa92faf9a00262392d7b4794232"


def test_plain_passwords_serve_every_algorithm():
    users = {"jon": "secret", "empty": ""}
    get_ha1 = get_ha1_dict_plain(users)
    assert get_ha1.algorithms == ("MD5", "SHA-256")
    assert get_ha1("site", "jon") == MD5
    assert get_ha1("site", "jon", algorithm="SHA-256") == SHA
    assert get_ha1("site", "ann") is None
    assert get_ha1("site", "empty") is None
    users["ann"] = "secret"
    assert get_ha1("site", "ann") == make_ha1("ann", "site", "secret")


def test_hash_is_made_for_unknown_users_too(monkeypatch):
    made = []
    monkeypatch.setattr(
        "cptoolkit.middleware.auth.ha1.make_ha1", lambda *of: made.append(of) or "x"
    )
    assert get_ha1_dict_plain({})("site", "ann") is None
    assert len(made) == 1


def test_hashes_serve_the_algorithm_that_made_them():
    for ha1, algorithm, other in ((MD5, "MD5", "SHA-256"), (SHA, "SHA-256", "MD5")):
        get_ha1 = get_ha1_dict({"jon": ha1})
        assert get_ha1.algorithms == (algorithm,)
        assert get_ha1("site", "jon", algorithm=algorithm) == ha1
        assert get_ha1("site", "jon", algorithm=other) is None
        assert get_ha1("site", "ann", algorithm=algorithm) is None


def test_mapping_may_be_empty_at_first():
    users = {}
    get_ha1 = get_ha1_dict(users)
    assert get_ha1.algorithms == ("MD5",)
    users["jon"] = MD5
    assert get_ha1("site", "jon") == MD5


def test_hashes_of_different_algorithms_are_refused():
    with pytest.raises(ValueError, match="every user must have an HA1 of one and the same"):
        get_ha1_dict({"jon": MD5, "ann": SHA})


@pytest.mark.parametrize("ha1", ["hunter2", "x" * 32, "", MD5 + "00"])
def test_what_is_no_ha1_is_refused_and_not_repeated(ha1):
    with pytest.raises(ValueError, match=f"32 or 64 hex digits, got {len(ha1)} char") as refused:
        algorithm_of(ha1)
    assert not ha1 or ha1 not in str(refused.value)


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "users.htdigest"
    file.write_text(f"# who may come in\n\njon:site:{MD5}\njörg:other: realm:{MD5}\n", "utf-8")
    return file


def test_file_is_read(file):
    get_ha1 = get_ha1_file_htdigest(file)
    assert get_ha1.algorithms == ("MD5",)
    assert get_ha1("site", "jon") == MD5
    assert get_ha1("other: realm", "jörg") == MD5
    assert get_ha1("site", "jörg") is None
    assert get_ha1("site", "jon", algorithm="SHA-256") is None


def test_file_may_have_both_hashes_of_a_user(file):
    file.write_text(f"jon:site:{MD5}\njon:site:{SHA}\n")
    get_ha1 = get_ha1_file_htdigest(str(file))
    assert get_ha1.algorithms == ("MD5", "SHA-256")
    assert get_ha1("site", "jon") == MD5
    assert get_ha1("site", "jon", algorithm="SHA-256") == SHA


def test_file_is_read_again_when_it_has_changed(file):
    get_ha1 = get_ha1_file_htdigest(file)
    aside = file.with_suffix(".new")
    aside.write_text(f"ann:site:{MD5}\n")
    os.replace(aside, file)
    assert get_ha1("site", "ann") == MD5
    assert get_ha1("site", "jon") is None


def test_file_is_found_from_another_folder_too(file, monkeypatch):
    monkeypatch.chdir(file.parent)
    get_ha1 = get_ha1_file_htdigest(file.name)
    monkeypatch.chdir("/")
    file.write_text(f"ann:site:{MD5}\n")
    assert get_ha1("site", "ann") == MD5


def test_missing_file_is_told_at_once(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        get_ha1_file_htdigest(tmp_path / "nowhere")


@pytest.mark.parametrize("line", ["jon", "jon:site", "jon:site:hunter2", "jon:site:" + "x" * 32])
def test_malformed_line_is_told_with_its_number(file, line):
    file.write_text(f"ann:site:{MD5}\n{line}\n")
    with pytest.raises(ValueError, match=r"users\.htdigest, line 2: ") as refused:
        get_ha1_file_htdigest(file)
    assert "hunter2" not in str(refused.value)

"""Entry points: what other programs find of the package once it is installed."""

from __future__ import annotations

from configparser import ConfigParser
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from webob import Request

import cptoolkit
from cptoolkit import middleware
from cptoolkit.layer_tool import LayerTool
from cptoolkit.middleware.layer import Layer

SETUP = Path(__file__).parents[2] / "setup.cfg"
NOT_ALONE = {middleware.At, Layer}
"""Layers that make no sense in an INI file by themselves."""


def filters() -> dict[str, type[Layer]]:
    config = ConfigParser()
    config.read(SETUP)
    group = config["options.entry_points"]["paste.filter_app_factory"]
    pairs = [line.split(" = ") for line in group.strip().splitlines()]
    points = [EntryPoint(name, value, "paste.filter_app_factory") for name, value in pairs]
    return {point.name: point.load().__self__ for point in points}


def layers() -> set[type[Layer]]:
    named = [getattr(middleware, name) for name in middleware.HOMES]
    return {found for found in named if isinstance(found, type) and issubclass(found, Layer)}


def test_each_layer_is_a_filter_of_paste_deploy():
    assert set(filters().values()) == layers() - NOT_ALONE


def test_filter_has_the_name_of_the_tool():
    for name, tool in cptoolkit.tools.tools().items():
        if isinstance(tool, LayerTool):
            wanted = {"log": "access_log", "cpstats": "stats"}.get(name, name)
            assert filters()[wanted] is tool.layer


def test_unknown_component_is_told_with_the_nearest_name():
    with pytest.raises(AttributeError, match="has no attribute 'Sesions'; did you mean 'Sessions'"):
        _ = middleware.Sesions


def test_application_is_composed_from_an_ini_file(tmp_path, monkeypatch):
    deploy = pytest.importorskip("paste.deploy", reason="needs PasteDeploy")
    (tmp_path / "paste_site.py").write_text(
        "from webob import Response\ndef make(global_conf):\n    return Response(etag='x')\n"
    )
    (tmp_path / "site.ini").write_text(
        "[pipeline:main]\n"
        "pipeline = fresh site\n"
        "[filter:fresh]\n"
        "paste.filter_app_factory = cptoolkit.middleware:Expires.filter_app_factory\n"
        "secs = 60\n"
        "force = yes\n"
        "[app:site]\n"
        "paste.app_factory = paste_site:make\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    app = deploy.loadapp(f"config:{tmp_path / 'site.ini'}")
    assert "max-age=60" in Request.blank("/").get_response(app).headers["Cache-Control"]

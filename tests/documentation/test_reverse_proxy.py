"""8.9.2: two instances behind nginx, configured as in the reference."""

import os
import shutil

import pytest

CONFIG = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/errors.log;
events {{}}
http {{
    client_body_temp_path {folder}/bodies;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    scgi_temp_path {folder}/scgi;
    uwsgi_temp_path {folder}/uwsgi;

    upstream apps {{
        server 127.0.0.1:{first};
        server 127.0.0.1:{second};
    }}

    gzip_http_version 1.0;
    gzip_proxied      any;
    gzip_min_length   500;
    gzip_disable      "MSIE [1-6]\\.";
    gzip_types        text/plain text/xml text/css text/javascript application/javascript;

    server {{
        listen 127.0.0.1:{port};
        server_name  www.example.com;

        access_log   {folder}/www.example.com.log combined;
        error_log    {folder}/www.example.com.log;

        location ^~ /static/ {{
            root {folder}/files;
        }}

        location / {{
            proxy_pass         http://apps;
            proxy_redirect     off;
            proxy_set_header   Host $host;
            proxy_set_header   X-Real-IP $remote_addr;
            proxy_set_header   X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header   X-Forwarded-Host $server_name;
        }}
    }}
}}
"""

INSTANCE = """
import os

class Root:
    @cherrypy.expose
    def index(self):
        return "hello world"

    @cherrypy.expose
    def where(self):
        request = cherrypy.request
        return f"{cherrypy.url()} {request.remote.ip} {os.getpid()}"

if __name__ == "__main__":
    cherrypy.config.update({"tools.proxy.on": True,
                            "tools.proxy.base": "http://www.example.com"})
    cherrypy.quickstart(Root())
"""


@pytest.fixture
def site(script, command, tmp_path, free_port):
    """nginx, its port, and the two instances."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"])
    nginx = shutil.which("nginx", path=path) or pytest.skip("needs nginx")
    instances = [script(INSTANCE, f"{name}.py").serving() for name in ("first", "second")]
    first, second = (instance.port for instance in instances)
    (tmp_path / "files" / "static").mkdir(parents=True)
    (tmp_path / "files" / "static" / "a.txt").write_text("from the disk")
    config = tmp_path / "nginx.conf"
    config.write_text(CONFIG.format(folder=tmp_path, first=first, second=second, port=free_port))
    front = command(nginx, "-p", tmp_path, "-c", config, "-e", tmp_path / "errors.log")
    return front.listening(free_port), instances


def test_site_behind_nginx(site):
    front, instances = site
    host = {"Host": "www.example.com"}
    assert front.get("/", **host).text == "hello world"

    # Requests go to the two by turns, and each of them knows who asks for what.
    told = [front.get("/where", **host).text.split() for _ in range(4)]
    assert {url for url, _, _ in told} == {"http://www.example.com/where"}
    assert {client for _, client, _ in told} == {"127.0.0.1"}
    assert {int(pid) for *_, pid in told} == {one.process.pid for one in instances}

    static = front.get("/static/a.txt", **host)
    assert (static.status, static.text) == (200, "from the disk")
    assert "nginx" in static.headers["Server"]


def test_clients_address_is_known_in_pages_and_logs(site):
    """What the tool is for; here the client is another proxy, that tells of its own client."""
    front, instances = site
    forwarded = {"Host": "www.example.com", "X-Forwarded-For": "10.1.2.3"}
    client = front.get("/where", **forwarded).text.split()[1]
    assert client == "127.0.0.1"  # the one that nginx has seen: nobody vouches for the other
    for instance in instances:
        answer = instance.get("/where", **forwarded)
        assert answer.text.startswith("http://www.example.com/where 10.1.2.3 ")
        assert instance.wait_for("10.1.2.3 - - [")

"""The command, while it serves, and a client of it."""

import http.client
import sys
from contextlib import closing

from beside import PATIENCE, Program

COMMAND = [sys.executable, "-m", "cptoolkit"]


class Serving(Program):
    """The command, while it serves on a free port."""

    port = 0
    tls = None

    def connection(self):
        if not self.port:
            line = self.wait_for("Serving on http")
            self.port = int(line.rpartition(":")[2])
        if self.tls is not None:
            return http.client.HTTPSConnection(
                "127.0.0.1", self.port, timeout=PATIENCE, context=self.tls
            )
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)

    def get(self, path="/", method="GET", body=None):
        with closing(self.connection()) as client:
            client.request(method, path, body)
            response = client.getresponse()
            self.headers = response.headers
            return response.status, response.read().decode()

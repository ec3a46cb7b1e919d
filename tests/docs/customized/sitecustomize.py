"""Python as programs of the documentation get it: what they serve on by default is PORT."""

import os

import cptoolkit

cptoolkit.server.socket_port = int(os.environ["PORT"])

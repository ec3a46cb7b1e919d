"""Eleven small programs to learn from, each adding one idea to those before.

Start one with ``python -m cptoolkit.tutorial.tut01_helloworld`` and point a browser to
http://127.0.0.1:8080; on another port, with ``cptoolkit run cptoolkit.tutorial.tut01_helloworld
--port 9000``. Ctrl-C ends it.
"""

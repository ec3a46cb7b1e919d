import sys
from wsgiref.simple_server import make_server

from embedded import application

if __name__ == "__main__":
    with make_server("127.0.0.1", int(sys.argv[1]), application) as server:
        server.serve_forever()

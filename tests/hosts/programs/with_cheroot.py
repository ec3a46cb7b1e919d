import sys

from cheroot.wsgi import Server
from embedded import application

if __name__ == "__main__":
    Server(("127.0.0.1", int(sys.argv[1])), application).safe_start()

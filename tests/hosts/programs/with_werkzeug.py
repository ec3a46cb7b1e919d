import sys

from embedded import application
from werkzeug import run_simple

if __name__ == "__main__":
    run_simple("127.0.0.1", int(sys.argv[1]), application)

import sys

from hosted import wsgiapp
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.wsgi import WSGIContainer

from cptoolkit.servers import tornado

if __name__ == "__main__":
    tornado.attach()
    HTTPServer(WSGIContainer(wsgiapp)).listen(int(sys.argv[1]), "127.0.0.1")
    IOLoop.current().start()

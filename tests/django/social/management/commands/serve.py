"""Serves the WSGI application on a free port of this machine, and says which."""
import socketserver
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from django.core.management.base import BaseCommand

from backend.wsgi import application


class Threaded(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser):
        parser.add_argument("--port", type=int, default=0)

    def handle(self, *_, port, **__):
        server = make_server("127.0.0.1", port, application, server_class=Threaded, handler_class=Quiet)
        self.stdout.write(f"http://127.0.0.1:{server.server_port}")
        self.stdout.flush()
        server.serve_forever()

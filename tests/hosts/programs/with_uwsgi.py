from hosted import application

from cptoolkit.servers import uwsgi

__all__ = ["application"]

uwsgi.attach()

from hosted import wsgiapp

from cptoolkit.servers import twisted

__all__ = ["wsgiapp"]

twisted.attach()

"""Sessions: what a server remembers of each of its users, around any WSGI application."""

"""WSGI components, each usable alone around any WSGI application."""

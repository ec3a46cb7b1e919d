"""What proxies say of a request, and whom to believe."""

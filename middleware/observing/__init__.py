"""What is told of each exchange: the access log, and live statistics."""

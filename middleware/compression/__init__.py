"""Answers made smaller, in a coding that the client takes (RFC 9110, section 8.4)."""

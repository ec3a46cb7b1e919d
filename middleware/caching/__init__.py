"""Answers that are kept, and what says how long others may keep them (RFC 9111)."""

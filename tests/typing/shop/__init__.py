"""A user's project: everything that can be written for an application, with types."""

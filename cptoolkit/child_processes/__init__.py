"""A folder for PYTHONPATH: what is in it reaches the child processes of a CherryPy program."""

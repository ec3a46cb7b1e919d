"""The commands of ``cptoolkit``, one module each, made of a parser and a function that obeys it.

Each module has ``parser()``, which gives its :class:`~cptoolkit.commands.parser.Parser`, and
``obey(arguments)``, which does what the parsed command line asks for and returns the exit status.
"""

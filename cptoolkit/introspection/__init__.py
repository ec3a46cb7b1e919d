"""What a site would do with a request, and why, told without doing it.

Facts are plain dicts that JSON can have; :mod:`~cptoolkit.introspection.text` and
:mod:`~cptoolkit.introspection.page` show them to people.
"""

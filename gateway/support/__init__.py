"""What is sent along when one asks for help: gathered, and without secrets.

``redaction`` is pure; ``secrets`` reads what must not be in it; ``gathering`` collects the pieces;
``bundle`` writes them.
"""

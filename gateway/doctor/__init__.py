"""What may be wrong with a box, looked for: each check tells what it found and what to do.

A check takes the `Box` and yields findings; what it decides by is a pure function beside it.
``examination`` runs them all. A check that may not look somewhere says so; none changes anything.
"""

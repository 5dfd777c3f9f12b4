"""Rules that are ready to use: ``smtp-proxy --rules ready:NAME``, with settings under ``[rules.NAME]``.

Each module is one rule and an example of how to write one.
"""

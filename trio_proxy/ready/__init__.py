"""Rules that are ready to use: ``smtp-proxy --rules ready:NAME``, with settings under ``[rules.NAME]``.

Each public module holds one rule, and is an example of how to write a rule.
"""

"""A setting that can match nothing that a person would mean is refused when it is loaded."""

from __future__ import annotations

from each import each
from harness import loaded, mistakes

REFUSED = {
    "attachments": [
        ('names = ["exe"]', 'did you mean "*.exe"?'),
        ('names = [".exe"]', 'did you mean "*.exe"?'),
        ('names = ["*.exe, *.js"]', 'write "*.exe", "*.js"'),
        ('names = ["*.exe;*.js"]', 'write "*.exe", "*.js"'),
        ('names = ["*.exe *.js"]', 'write "*.exe", "*.js"'),
        ('names = ["exe,js"]', 'write "*.exe", "*.js"'),
        ('names = ["*.{exe,js}"]', 'write "*.exe", "*.js"'),
        ('names = ["*.exe."]', 'did you mean "*.exe"?'),
        ('names = [" *.exe"]', 'did you mean "*.exe"?'),
        ('names = ["*.[ej]xe"]', "brackets are literal here"),
        (r"names = ['.*\.exe']", "no regular expression"),
        ('names = ["^.*exe$"]', "no regular expression"),
        ('names = ["application/zip"]', "a content type in types"),
        ('names = [""]', "empty pattern"),
        ('names = ["*.exe", "js", "vbs"]', '"js": only a file of exactly this name'),
        ('names = ["*.exe", "js", "vbs"]', 'did you mean "*.vbs"?'),
        ('types = ["exe"]', "names of files are written in names"),
        ('types = ["*.exe"]', "names of files are written in names"),
        ('types = ["pdf"]', 'did you mean "application/pdf"?'),
        ('types = ["image"]', 'did you mean "image/*"?'),
        ('types = ["image/"]', 'did you mean "image/*"?'),
        ('types = ["image/png; name=x"]', 'did you mean "image/png"?'),
        ('types = ["image/png, image/gif"]', 'write "image/png", "image/gif"'),
        ('types = [""]', "empty pattern"),
        ('types = ["image/png/x"]', "no content type looks like that"),
        ("names = []\ntypes = []\nbroken = false", "nothing would be refused"),
        ("max_message = 25", 'did you mean max_message = "25M"?'),
        ('max_message = "1 MB"\nmax_attachment = "2 MB"', "max_attachment is never reached"),
    ],
    "allow_list": [
        ("recipients = []", "the list is empty"),
        ('recipients = ["*"]\nsenders = []', "the list is empty"),
        ('recipients = ["example.com"]', 'did you mean "*@example.com"?'),
        ('recipients = ["@example.com"]', 'did you mean "*@example.com"?'),
        ('recipients = ["*"]\nsenders = [""]', "written <>"),
    ],
    "archive": [
        ('address = "a@b.example"\nsenders = ["example.com"]', 'did you mean "*@example.com"?'),
        ('address = "a@b.example"\nrecipients = ["b.example"]', 'did you mean "*@b.example"?'),
        ('address = "*@b.example"', "not a pattern"),
    ],
    "match_login": [
        ('keep = ["news.example.com"]', 'did you mean "*@news.example.com"?'),
        ('logins = { scanner = "scans" , it = "jürgen@a.example"}', "SMTPUTF8"),
    ],
    "rate_limit": [
        ('messages = {minute = 1}\nexempt = ["127.0.0.0/8"]', 'did you mean "127.*"?'),
        ('messages = {minute = 1}\nexempt = ["192.0.2.0/24"]', 'did you mean "192.0.2.*"?'),
        ('messages = {minute = 1}\nexempt = ["2001:db8::/32"]', "a network is not possible here"),
        ('messages = {minute = 1}\nexempt = ["newsletter"]', 'per = "login"'),
        ('messages = {minute = 1}\nexempt = ["0:0:0:0:0:0:0:1"]', 'did you mean "::1"?'),
        ('messages = {minute = 1}\nexempt = [""]', "no pattern at all"),
        (
            'messages = {minute = 1}\nper = "sender"\nexempt = ["example.com"]',
            'did you mean "*@example.com"?',
        ),
        ('messages = {minute = 1}\nper = "sender"\nexempt = ["<>"]', "by the IP address"),
    ],
    "header_fields": [
        ("remove = []", "nothing would be edited"),
        ('remove = ["X-Mailer:"]', 'did you mean "X-Mailer"?'),
        ('remove = ["X-*"]', "a pattern is not possible here"),
        ('remove = ["X Mailer"]', "printable ASCII"),
        ("replace = { 'Subject:' = ['a', 'b'] }", 'did you mean "Subject"?'),
        ("set = { 'X-*' = 'a' }", "a pattern is not possible here"),
        ('add = { X-A = "a\\nb" }', "CR, LF and NUL"),
    ],
    "rewrite_map": [
        ("map = {}", "the map is empty"),
        ('map = { "old.example" = "@new.example" }', 'did you mean "@old.example"?'),
        ('map = { "*@old.example" = "@new.example" }', 'did you mean "@old.example"?'),
        ('map = { "a*@old.example" = "@new.example" }', "a key cannot be a pattern"),
        ('map = { "bob" = "ann@new.example" }', 'did you mean "bob@example.com"?'),
        ('map = { "@old.example" = "*@new.example" }', 'did you mean "@new.example"?'),
        ('map = { "a@b.example" = "c@d.example", "A@B.example" = "e@d.example" }', "two keys are the same"),
        ('map = { "@old.example" = "jürgen@new.example" }', "SMTPUTF8"),
        ('map = { "@old.example" = "@" }', "neither an address nor"),
    ],
    "secret_scan": [
        ("builtin = []", "nothing would be searched"),
        ("patterns = { x = 'a*' }", "finds something in every message"),
        ("patterns = { x = '[A-Za-z]+' }", "finds something in every message"),
        ("patterns = { x = '^SECRET' }", "(?m)^"),
        ("patterns = { x = 'SECRET$' }", r"\r?$"),
    ],
    "staging": [
        ('mailbox = "jürgen@example.com"', "SMTPUTF8"),
        ('mailbox = "a@b.example"\nfield = "X-Original-To:"', 'did you mean "X-Original-To"?'),
        ('mailbox = "jürgen@example.com"\nfield = "X-Original-To:"', 'did you mean "X-Original-To"?'),
    ],
    "clamd": [("timeout = 0", "above 0")],
}
FINE = {
    "attachments": [
        'names = ["*.exe", "invoice*.zip", "evil.exe", "*.tar.gz", "*exe", "my file.*", "*", "a[1].doc"]',
        'types = ["application/*", "image*", "audio/x-y", "*pdf"]',
        "names = []\nmax_message = 100_000",
        'max_message = "2 MB"\nmax_attachment = "1 MB"',
    ],
    "allow_list": ['recipients = ["*@example.com", "postmaster", "*"]\nsenders = ["<>"]'],
    "rate_limit": [
        'messages = {minute = 1}\nexempt = ["127.0.0.1", "192.0.2.*", "::1"]',
        'messages = {minute = 1}\nper = "login"\nexempt = ["newsletter", "127.0.0.1"]',
        'messages = {minute = 1}\nper = "sender"\nexempt = ["*@example.com", "127.0.0.1"]',
    ],
    "rewrite_map": [
        'map = { "a@b.example" = "c@d.example", "@b.example" = "@d.example", "*" = "x@y.example" }'
    ],
    "secret_scan": [r"patterns = { x = '(?m)^SECRET\r?$', y = 'COST \$' }"],
    "header_fields": ['remove = ["X-Mailer"]'],
}


@each(("name", "toml", "text"), [(name, *case) for name, cases in REFUSED.items() for case in cases])
def test_what_can_match_nothing_is_refused(name: str, toml: str, text: str) -> None:
    assert text in mistakes(f"[rules.{name}]\n{toml}")


@each(("name", "toml"), [(name, toml) for name, cases in FINE.items() for toml in cases])
def test_what_can_match_is_taken(name: str, toml: str) -> None:
    assert loaded(f"[rules.{name}]\n{toml}").ruleset.rules

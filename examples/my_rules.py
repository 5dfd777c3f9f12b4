from sansio_smtp.rules import Reject


def rcpt(tx, to):
    if to.domain == "old.example":
        return Reject(550, "5.1.6 That domain has moved")


def headers(tx, headers):
    headers.remove("X-Originating-IP")
    headers.set("X-Scanned-By", "smtp-proxy")


def body_line(tx, line):
    if b"PRIVATE KEY" in line:
        return Reject(550, "5.7.1 Private keys do not go by mail")

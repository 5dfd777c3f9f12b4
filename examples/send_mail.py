"""A client that sends one message, under TLS, and logs in if it is told to.

    python examples/send_mail.py mx.example:587 ann@me.example bob@mx.example examples/hello.eml

It requires STARTTLS and a certificate that is valid for the host; ``--ca FILE`` names a file with the
certificate of your own authority. ``--no-tls`` sends in plain text, to try print_mail.py. With
``--user NAME`` it logs in with AUTH PLAIN; the password is read from the variable SMTP_PASSWORD. It prints
what it says and what the server answers, and ends with status 0 if the server has accepted the message.
"""

import argparse
import base64
import os
import socket
import ssl
import sys
from pathlib import Path
from typing import Self

import sansio_smtp as smtp

SECONDS = 300  # for one reply: RFC 5321 §4.5.3.2


class NotSent(Exception):
    """The message was not accepted, and why."""


class Client:
    """Says one command after the other, and waits for each reply."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock, self.end = sock, smtp.ClientConnection()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def expect(self, what: str, severity: int) -> None:
        """Waits for a reply, which has to begin with this digit."""
        while isinstance(event := self.end.next_event(), smtp.Pause):
            if event is not smtp.Pause.NEED_DATA:
                raise NotSent(f"{what}: the server has closed the connection")
            self.end.receive_data(self.sock.recv(65_536))
        if isinstance(event, smtp.RemoteProtocolError):
            raise NotSent(f"{what}: the server does not speak SMTP: {event}")
        print("S:", event.reply)
        if event.reply.severity != severity:
            raise NotSent(f"{what}: {event.reply}")

    def say(self, line: str, severity: int = 2) -> None:
        command = smtp.Command.of(line)
        print("C:", command)  # a password is not shown
        self.sock.sendall(self.end.send_command(command))
        self.expect(str(command), severity)

    def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        if "STARTTLS" not in self.end.keywords:
            raise NotSent("the server does not offer STARTTLS; --no-tls sends in plain text")
        self.say("STARTTLS")
        self.sock = context.wrap_socket(self.sock, server_hostname=host)
        self.end.tls_started()  # raises if octets came before the handshake, in plain text

    def log_in(self, user: str, password: str) -> None:
        if "PLAIN" not in self.end.keywords.get("AUTH", "").split():
            raise NotSent("the server does not offer AUTH PLAIN")
        response = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        self.say(f"AUTH PLAIN {response}")

    def send(self, sender: str, recipient: str, content: bytes) -> None:
        self.say(f"MAIL FROM:<{sender}>")
        self.say(f"RCPT TO:<{recipient}>")
        self.say("DATA", 3)
        self.sock.sendall(self.end.send_message(content))
        self.expect("the message", 2)


def address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no host and port, such as mx.example:587")
    return host.strip("[]"), int(port)


def file(text: str) -> Path:
    if not Path(text).is_file():
        raise argparse.ArgumentTypeError(f"there is no file {text!r}")
    return Path(text)


def main() -> None:
    parser = argparse.ArgumentParser(description="A client that sends one message, under TLS.")
    parser.add_argument("server", metavar="HOST:PORT", type=address)
    parser.add_argument("sender")
    parser.add_argument("recipient")
    parser.add_argument("file", type=file, help="the message")
    parser.add_argument("--ca", metavar="FILE", type=file, help="trust this certificate")
    parser.add_argument("--no-tls", action="store_true", help="send in plain text")
    parser.add_argument("--user", metavar="NAME", help="log in; the password is in SMTP_PASSWORD")
    parser.add_argument("--timeout", metavar="SECONDS", type=float, default=SECONDS)
    options = parser.parse_args()
    if options.user and options.no_tls:
        parser.error("--user needs TLS: a password is not sent in plain text")
    if options.user and "SMTP_PASSWORD" not in os.environ:
        parser.error("--user needs the password in the variable SMTP_PASSWORD")
    try:
        context = ssl.create_default_context(cafile=options.ca)
        with Client(socket.create_connection(options.server, options.timeout)) as client:
            client.expect("the greeting", 2)
            client.say("EHLO client.example")
            if not options.no_tls:
                client.start_tls(context, options.server[0])
                client.say("EHLO client.example")
            if options.user:
                client.log_in(options.user, os.environ["SMTP_PASSWORD"])
            client.send(options.sender, options.recipient, options.file.read_bytes())
            client.say("QUIT")
    except (NotSent, OSError, OverflowError, smtp.LocalProtocolError) as error:  # ssl.SSLError is an OSError
        sys.exit(f"not sent: {error}")


if __name__ == "__main__":
    main()

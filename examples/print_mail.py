"""A server that prints the mail that it gets.

    python examples/print_mail.py 127.0.0.1:2525

It takes messages for everybody, prints the envelope and the content of each, and keeps none. Ctrl-C ends it.
To send it one, from another terminal; it offers no TLS:

    python examples/send_mail.py --no-tls 127.0.0.1:2525 ann@me.example bob@mx.example examples/hello.eml
"""

import argparse
import asyncio
import contextlib
import sys

import sansio_smtp as smtp
from sansio_smtp import Command, Kind, Reply, ServerConnection

SECONDS = 300  # for a client to say something: RFC 5321 §4.5.3.2.7
OK, HELLO = Reply.of(250, "ok"), Reply.of(250, "print.example", "PIPELINING", "8BITMIME", "SIZE 10000000")
REPLIES = {b"EHLO": HELLO, b"VRFY": Reply.of(252, "send it, and see"), b"QUIT": Reply.of(221, "bye")}
REPLIES |= dict.fromkeys((b"HELO", b"MAIL", b"RCPT", b"RSET", b"NOOP"), OK)
UNKNOWN, OUT_OF_ORDER = Reply.of(502, "not known here"), Reply.of(503, "MAIL, RCPT, DATA: in this order")


async def session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    end, content, refusal = ServerConnection(max_message_size=10_000_000), bytearray(), OK
    writer.write(end.send_reply(Reply.of(220, "print.example ESMTP")))
    with contextlib.suppress(OSError), contextlib.closing(writer):  # a client may go away at any time
        while not isinstance(event := end.next_event(), smtp.RemoteProtocolError):
            if isinstance(event, smtp.Pause):
                await writer.drain()
                if event is not smtp.Pause.NEED_DATA:
                    return  # the client has gone, or was told that this is the end
                async with asyncio.timeout(SECONDS):
                    data = await reader.read(65_536)
                end.receive_data(data)
            elif isinstance(event, Command) and event.kind in (Kind.CHUNK, Kind.LAST_CHUNK):
                end.drop_chunk(stray=True)  # this server offers no CHUNKING
            elif isinstance(event, Command):
                writer.write(end.send_reply(answer(event, end.envelope)))
                content, refusal = bytearray(), OK
            elif isinstance(event, smtp.ContentReceived):
                content += event.decoded
            elif isinstance(event, smtp.ContentRefused):
                refusal = event.error.reply_hint
            elif isinstance(event, smtp.EndOfData):
                if refusal is OK:
                    show(end.envelope, bytes(content))
                writer.write(end.send_reply(refusal))
            elif isinstance(event, smtp.Refused):
                writer.write(end.send_reply(event.error.reply_hint))
            else:  # the octets of a chunk have come
                writer.write(end.send_reply(UNKNOWN))


def answer(command: Command, envelope: smtp.Envelope) -> Reply:
    if command.kind is Kind.DATA:
        return Reply.of(354, "go ahead") if envelope.recipients else OUT_OF_ORDER
    if command.verb == b"RCPT" and envelope.mail is None:
        return OUT_OF_ORDER
    return REPLIES.get(command.verb, UNKNOWN)


def show(envelope: smtp.Envelope, content: bytes) -> None:
    text = "\n".join((str(envelope.mail), *map(str, envelope.recipients), content.decode(errors="replace")))
    # What is not printable could be a command to the terminal.
    print("".join(char for char in text if char.isprintable() or char == "\n"), flush=True)


def address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no host and port, such as 127.0.0.1:2525")
    return host.strip("[]"), int(port)


async def serve(host: str, port: int) -> None:
    async with await asyncio.start_server(session, host, port) as server:
        print("listening on {}:{}".format(*server.sockets[0].getsockname()), flush=True)
        await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(
        description="A server that prints the mail that it gets, and keeps none."
    )
    parser.add_argument("listen", metavar="HOST:PORT", type=address)
    host, port = parser.parse_args().listen
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(serve(host, port))
    except (OSError, OverflowError) as error:  # the port is in use, or is none
        sys.exit(f"cannot listen on {host}:{port}: {error}")


if __name__ == "__main__":
    main()

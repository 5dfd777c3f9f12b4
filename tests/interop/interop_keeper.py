"""A server that keeps messages in a directory: ``python -IS interop_keeper.py PORT DIRECTORY [DIES]``.

With ``before`` or ``after`` it dies at the first message, before or after it has kept that. It imports
nothing that takes time, so that it is up again a moment after it was killed. A message is in the directory,
whole, before it is answered 250.
"""

import os
import socket
import sys
import threading

REPLIES = {
    b"EHLO": b"250-keeper.test\r\n250-PIPELINING\r\n250 8BITMIME\r\n",
    b"MAIL": b"250 2.1.0 ok\r\n",
    b"RCPT": b"250 2.1.5 ok\r\n",
    b"DATA": b"354 go on\r\n",
    b"RSET": b"250 2.0.0 ok\r\n",
    b"QUIT": b"221 2.0.0 bye\r\n",
}


def keep(content: bytes, directory: str, name: str) -> None:
    with open(f"{directory}/tmp-{name}", "wb") as file:
        file.write(content)
    os.rename(f"{directory}/tmp-{name}", f"{directory}/{name}.eml")


def serve(client: socket.socket, directory: str, name: str, dies: str) -> None:
    """One client, until it leaves."""
    content: list[bytes] | None = None
    kept = 0
    with client, client.makefile("rb") as lines:
        client.sendall(b"220 keeper.test ESMTP\r\n")
        for line in lines:
            if content is None:
                verb = line[:4].upper()
                client.sendall(REPLIES.get(verb, b"502 5.5.1 not known here\r\n"))
                content = [] if verb == b"DATA" else None
                if verb == b"QUIT":
                    return
            elif line != b".\r\n":
                content.append(line.removeprefix(b"."))
            else:
                kept += 1
                if dies == "before":
                    os._exit(1)
                keep(b"".join(content), directory, f"{name}-{kept}")
                if dies == "after":
                    os._exit(1)
                content = None
                client.sendall(b"250 2.0.0 kept\r\n")


def main() -> None:
    port, directory, dies = int(sys.argv[1]), sys.argv[2], "".join(sys.argv[3:])
    listener = socket.create_server(("127.0.0.1", port), backlog=100)
    count = 0
    while True:
        client, _ = listener.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        count += 1
        arguments = (client, directory, f"{os.getpid()}-{count}", dies)
        threading.Thread(target=serve, args=arguments, daemon=True).start()


if __name__ == "__main__":
    main()

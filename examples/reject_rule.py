"""Rules are questions: refuse a domain at RCPT, add a header field. No network: octets in, events out.

    python examples/reject_rule.py

It prints what a client and a server say in a dialogue, and what leaves the proxy for each of them.
"""

import sansio_smtp as smtp
from sansio_smtp import CLIENT, SERVER

DIALOGUE = [
    (SERVER, b"220 mx.example ready\r\n"),
    (CLIENT, b"MAIL FROM:<ann@me.example>\r\nRCPT TO:<bob@blocked.example>\r\n"),
    (CLIENT, b"RCPT TO:<eve@mx.example>\r\nDATA\r\n"),
    (SERVER, b"250 2.1.0 ok\r\n"),
    (SERVER, b"250 2.1.5 ok\r\n"),
    (SERVER, b"354 go on\r\n"),
    (CLIENT, b"Subject: hello\r\n\r\nHello, Eve.\r\n.\r\nQUIT\r\n"),
    (SERVER, b"250 2.0.0 kept\r\n"),
    (SERVER, b"221 2.0.0 bye\r\n"),
]


def judge(proxy: smtp.Proxy, question: object) -> list[smtp.Event]:
    """The rules. They may take their time: meanwhile the client is not read, and nothing overtakes them."""
    if isinstance(question, smtp.CommandQuestion):
        path = question.command.path
        if path and path.address.lower().endswith("@blocked.example"):
            return proxy.answer(
                question, smtp.Answer(smtp.Reply.of(550, "no mail to there", enhanced="5.7.1"))
            )
        return proxy.answer(question, smtp.Continue())
    assert isinstance(question, smtp.HeadersQuestion)
    return proxy.answer(question, smtp.Replace(b"X-Seen: yes\r\n" + question.data))


def show(who: str, data: bytes) -> None:
    for line in data.decode().splitlines():
        print(who, line)


def main() -> None:
    proxy = smtp.Proxy(ask={"RCPT", smtp.HEADERS})
    for side, data in DIALOGUE:
        show(f"{side.value}:", data)
        events = proxy.receive_from(side, data)
        for event in events:
            if isinstance(event, smtp.SendToServer):
                show("    -> server:", event.data)
            elif isinstance(event, smtp.SendToClient):
                show("    -> client:", event.data)
            elif isinstance(event, smtp.Ask):
                print("    ?", type(event.question).__name__)
                events += judge(proxy, event.question)  # at the end of the list


if __name__ == "__main__":
    main()

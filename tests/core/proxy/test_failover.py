"""A server that fails is left for another as long as the client was promised nothing."""

from __future__ import annotations

import pytest

from core.scene import Scene
from sansio_smtp.config import Config, LoginMode
from sansio_smtp.events import SERVER
from sansio_smtp.questions import Answer, Continue, Route
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.replies import Reply

CONFIG = Config(reconnect=True, failover=1)
LEFT = ["close S", "connect home"]
LOST = "unusable: it closed the connection"
ENDED = ["C: 421 4.4.2 upstream server closed the connection", "close S", "close C"]
UNREACHABLE = "C: 421 4.4.1 upstream server cannot be reached, try again later"


def scene(*ask: str, config: Config = CONFIG) -> Scene:
    return Scene(*ask, config=config)


def greeted(*ask: str, config: Config = CONFIG) -> Scene:
    made = scene(*ask, config=config)
    made.server("220 one")
    made.client("EHLO me")
    made.server("250-one", "250 PIPELINING")
    return made


def lose(made: Scene) -> list[str]:
    return made.took(made.proxy.eof_from(SERVER))


def test_every_way_to_fail_before_the_greeting() -> None:
    made = scene()
    assert lose(made) == [LOST, *LEFT]
    made = scene()
    assert made.server("421 full") == ["unusable: its greeting was 421 full", *LEFT]
    made = scene()
    assert made.server("354 go on")[1:] == [
        "unusable: it broke the protocol: 354 in reply to the connection",
        *LEFT,
    ]
    made = scene()
    assert made.took(made.proxy.tls_failed(SERVER, "no TLS")) == ["unusable: no TLS", *LEFT]
    assert made.server("220 two") == ["C: 220 two"]


def test_the_number_of_servers_that_are_tried_is_limited() -> None:
    made = scene(config=Config(reconnect=True, failover=2))
    for number in (1, 2):
        assert made.server(f"421 {number}") == [f"unusable: its greeting was 421 {number}", *LEFT]
    assert made.server("554 3") == ["C: 554 3", "close S", "close C"]


def test_the_limit_is_for_each_command_of_the_client() -> None:
    made = scene()
    assert made.server("421 full")[1:] == LEFT
    made.server("220 two")
    for number in (1, 2, 3):
        made.client("NOOP")
        assert lose(made) == [LOST, *LEFT]
        assert made.server(f"220 {number}") == ["S: NOOP"]
        assert made.server("250 ok") == ["C: 250 ok"]


def test_what_the_client_gets_if_no_other_can_be_connected() -> None:
    made = scene()
    made.server("554 go away")
    assert made.took(made.proxy.server_unreachable()) == ["C: 554 go away", "close S", "close C"]
    made = scene()
    assert made.took(made.proxy.server_unreachable()) == [UNREACHABLE, "close S", "close C"]
    made = scene()
    made.server("554 go away")
    made.server("220 two")
    made.client("NOOP")
    made.server("421 going")
    assert made.took(made.proxy.server_unreachable()) == [UNREACHABLE, "close S", "close C"]


def test_without_the_setting_the_session_ends_with_its_server() -> None:
    made = greeted(config=Config(reconnect=True))
    assert lose(made) == ENDED
    made = greeted(config=Config(failover=1))
    assert lose(made) == ENDED


def test_commands_of_the_proxy_are_forgotten() -> None:
    made = greeted("DATA")
    made.client("MAIL FROM:<a>")
    made.server("250 ok")
    made.client("DATA")
    assert made.answer(Answer(Reply.of(554, "no"))) == ["S: RSET", "C: 554 no"]
    assert lose(made) == ["close S"]  # the transaction of the client goes on
    assert made.client("RSET") == ["connect home"]
    assert made.server("220 two") == ["S: EHLO me"]
    assert made.server("250 two") == ["S: RSET"]


def test_rset_of_ours_that_is_answered_421() -> None:
    made = greeted("DATA")
    made.client("MAIL FROM:<a>", "RCPT TO:<b>", "DATA")
    made.server("250 ok", "250 ok")
    made.answer(Answer(Reply.of(554, "no")))
    # The recipient that was accepted is still the client's.
    assert made.server("421 going") == ["C: 421 going", "close S", "close C"]


@pytest.mark.parametrize("line", ["XFOO", "AUTH PLAIN AGEAYg==", "QUIT"])
def test_commands_that_are_not_sent_twice(line: str) -> None:
    made = greeted()
    made.client(line)
    assert "connect home" not in lose(made)


def test_an_added_recipient_ends_it() -> None:
    made = greeted("DATA")
    made.client("MAIL FROM:<a>")
    made.server("250 ok")
    made.client("DATA")
    assert made.answer(Continue((Command.of("RCPT TO:<c>"),))) == ["S: RCPT TO:<c>"]
    assert lose(made)[-2:] == ["close S", "close C"]


def test_waiting_commands_of_ours_end_it_too() -> None:
    made = greeted("DATA", "MAIL")
    made.client("MAIL FROM:<a>")
    made.answer(Continue())
    made.server("250 ok")
    made.client("NOOP", "DATA")
    made.answer(Continue((Command.of("RCPT TO:<c>"),)))
    assert lose(made)[-2:] == ["close S", "close C"]


def test_a_message_in_flight_ends_it() -> None:
    made = greeted()
    made.client("MAIL FROM:<a>", "RCPT TO:<b>", "DATA")
    made.server("250 ok", "250 ok", "354 go on")
    made.client("Subject: x")
    assert made.server("421 going") == ["C: 421 going", "abort S", "close C"]


def test_a_question_stays_open_while_another_server_is_looked_for() -> None:
    made = greeted("MAIL")
    made.client("MAIL FROM:<a>")
    assert lose(made) == ["close S"]
    assert made.answer(Continue()) == ["connect home"]
    assert made.server("220 two") == ["S: EHLO me"]
    assert made.server("250 two") == ["S: MAIL FROM:<a>"]


def test_another_server_than_the_usual_one_is_asked_for_by_its_name() -> None:
    made = greeted("MAIL")
    made.client("MAIL FROM:<a>")
    made.answer(Route("lists"))
    assert made.server("421 no") == ["unusable: its greeting was 421 no", "close S", "connect lists"]
    assert made.server("220 lists") == ["S: EHLO me"]
    assert made.server("250 lists") == ["S: MAIL FROM:<a>"]


def test_while_a_login_is_asked_about_the_session_ends_with_its_server() -> None:
    made = greeted(config=Config(reconnect=True, failover=1, login_mode=LoginMode.INJECT))
    assert made.client("MAIL FROM:<a>") == ["? LoginQuestion"]
    assert lose(made) == ENDED

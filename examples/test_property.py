"""A property over a rule: whatever a client says, no mail to the domain that has moved gets through.

    pytest -q examples/test_property.py

It needs pytest and Hypothesis (``pip install . pytest hypothesis``). Hypothesis draws envelopes, messages and
whole dialogues, ordinary and hostile, with many spellings of the address. If the rule lets one through, the
test shows a short dialogue, and the case to paste into a test.

The property is about the domain of the recipient. ``bob%old.example@new.example`` is an address in
new.example that some servers forward to old.example: my_rules.py lets it through, and so does this property.
A rule that is to refuse it says ``if to.domain == "old.example" or to.routes``: see "Local parts that route"
in docs/explanation/what-can-slip-past.md.
"""

import my_rules
from hypothesis import Phase, event, given, settings

from sansio_smtp import Envelope
from sansio_smtp.testing import Dialogue, Session, Sizes, session
from sansio_smtp.testing.strategies import cuts, dialogues, envelopes, messages

DOMAINS = ["old.example", "new.example"]
# Some dialogues are long, and come octet by octet. "Explain" makes a failing test slow and its output long.
PROPERTY = settings(deadline=None, phases=set(Phase) - {Phase.explain})


def moved(s: Session) -> list[str]:
    """The recipients in the old domain of messages that the server has got."""
    recipients = (to for message in s.delivered for to in message.recipients)
    return [to for to in recipients if to.lower().endswith("@old.example")]


@PROPERTY
@given(envelopes(DOMAINS), messages())
def test_no_envelope_gets_through(envelope: Envelope, message: bytes) -> None:
    with session(my_rules) as s:
        s.send(envelope, message)
        assert not moved(s)
        event(f"delivered: {len(s.delivered)}")


@PROPERTY
@given(envelopes(["new.example"], hostile=False), messages(hostile=False))
def test_other_mail_arrives(envelope: Envelope, message: bytes) -> None:
    with session(my_rules) as s:
        s.send(envelope, message)
        assert s.delivered


@PROPERTY
@given(dialogues(DOMAINS), cuts())
def test_no_dialogue_gets_through(dialogue: Dialogue, cut: Sizes) -> None:
    with session(my_rules, cut=cut) as s:
        s.say(dialogue)
        assert not moved(s)

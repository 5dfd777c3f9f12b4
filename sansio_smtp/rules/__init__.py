"""Rules: functions that inspect or change commands, headers and bodies on their way through a proxy.

A rule is a function named after a phase; it returns a verdict, or None to continue. `RuleSession` asks the
rules whenever a `sansio_smtp.Proxy` asks a question, in any driver.
"""

from sansio_smtp.rules.lint.problems import Problem, RuleError

from .connection import Connection
from .data import Data
from .decorators import on, threaded
from .domains import normal_domain
from .headers import Field, Headers
from .host import Failure, Held, Host
from .message import Message
from .paths import Recipient, Sender, address_to_send
from .ruleset import Rule, RuleSet
from .session import RuleSession
from .verdicts import (
    Accept,
    AuthVerdict,
    BodyVerdict,
    Close,
    CommandVerdict,
    ConnectVerdict,
    DataVerdict,
    Defer,
    Discard,
    HeadersVerdict,
    HeloVerdict,
    Hold,
    LoginVerdict,
    MailVerdict,
    MessageVerdict,
    RcptVerdict,
    Redirect,
    Reject,
    ReplyVerdict,
    Verdict,
)
from .views import AuthAttempt, ClientCommand, Delivery, ServerReply, Transaction

__all__ = [
    "Accept",
    "AuthAttempt",
    "AuthVerdict",
    "BodyVerdict",
    "ClientCommand",
    "Close",
    "CommandVerdict",
    "ConnectVerdict",
    "Connection",
    "Data",
    "DataVerdict",
    "Defer",
    "Delivery",
    "Discard",
    "Failure",
    "Field",
    "Headers",
    "HeadersVerdict",
    "Held",
    "HeloVerdict",
    "Hold",
    "Host",
    "LoginVerdict",
    "MailVerdict",
    "Message",
    "MessageVerdict",
    "Problem",
    "RcptVerdict",
    "Recipient",
    "Redirect",
    "Reject",
    "ReplyVerdict",
    "Rule",
    "RuleError",
    "RuleSession",
    "RuleSet",
    "Sender",
    "ServerReply",
    "Transaction",
    "Verdict",
    "address_to_send",
    "normal_domain",
    "on",
    "threaded",
]

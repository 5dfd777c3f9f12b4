from __future__ import annotations

from sansio_smtp.config import Config, LoginMode
from sansio_smtp.proxy.upstream import Upstream


def test_a_server_lacks_something_until_it_is_logged_in_to() -> None:
    leg = Upstream(Config(login_mode=LoginMode.INJECT))
    assert leg.may_lack
    leg.log_in()
    leg.settle()
    assert leg.logged_in
    assert not leg.may_lack
    assert not Upstream(Config()).may_lack

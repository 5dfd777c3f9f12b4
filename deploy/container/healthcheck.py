"""Ends with status 0 while the proxy in this container accepts clients, else with 1. Needs no shell."""

import http.client
import os
import sys
from contextlib import closing

with closing(http.client.HTTPConnection(os.environ["SMTP_PROXY_ADMIN"], timeout=5)) as pages:
    try:
        pages.request("GET", "/readyz")
        answer = pages.getresponse()
    except (OSError, http.client.HTTPException) as error:
        sys.exit(f"/readyz: {error}")
    with answer:
        sys.exit(None if answer.status == 200 else f"/readyz: {answer.status} {answer.reason}")

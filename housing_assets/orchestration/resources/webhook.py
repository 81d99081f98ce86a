"""Notices to people, through a webhook."""

import json
import urllib.request
from dataclasses import dataclass, field
from typing import Any

_SECONDS = 10


@dataclass(frozen=True)
class Webhook:
    """Posts JSON to an address, such as Slack's or Teams' incoming webhooks; does nothing without one.

    No Dagster resource with a configuration: that is kept with every job, and shown in the UI, with its values.
    """

    url: str = field(default="", repr=False)

    def send(self, text: str, **facts: Any) -> None:
        """Post a notice.

        Args:
            text: what happened, for people.
            facts: the same for programs.

        Raises:
            OSError: the address cannot be reached or refuses. The message has no address: it may hold a secret.
        """
        if not self.url:
            return
        body = json.dumps({"text": text, **facts}).encode()
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})
        try:
            urllib.request.urlopen(request, timeout=_SECONDS).close()
        except OSError as error:
            reason = getattr(error, "reason", None) or getattr(error, "code", None) or type(error).__name__
            raise OSError(f"the webhook could not be reached: {reason}") from None

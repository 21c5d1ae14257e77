"""The mail server: a few connections that stay open, and what its answers mean for a mail."""

from __future__ import annotations

import asyncio
import time
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY

from aiosmtplib import (
    SMTP,
    SMTPException,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPSenderRefused,
)

from services.notifications.settings import SmtpSettings

_IDLE_SECONDS = 30.0
"""Servers hang up on idle clients; a connection unused for so long is opened anew."""
_LAST_TRANSIENT_CODE = 499
# Headers are folded only at SMTP's own limit: a shorter one makes the library encode a link that
# has no blank to fold at, and mail programs do not decode `List-Unsubscribe`.
_ON_THE_WIRE = SMTP_POLICY.clone(max_line_length=998)


class Refused(Exception):  # noqa: N818 - named by the fact
    """The server will never take this mail for this recipient; says the code, no address."""


class NotTaken(Exception):  # noqa: N818
    """The server did not take this mail now; it may later."""


class NoAnswer(Exception):  # noqa: N818
    """The server did not say whether it took this mail: it may arrive, and may be sent again."""


class Unreachable(Exception):  # noqa: N818
    """The server takes no mail at all now: nobody answers, or it does not accept us as sender."""


class Connection:
    """One connection, opened when it is needed; sends one mail at a time."""

    def __init__(self, settings: SmtpSettings, sender: str) -> None:
        self._settings = settings
        self._sender = sender
        self._client: SMTP | None = None
        self._last_use = 0.0

    async def send(self, recipient: str, mail: EmailMessage) -> None:
        """Hand one mail over. Raises Refused, NotTaken, NoAnswer or Unreachable."""
        client = await self._open()
        try:
            await client.sendmail(self._sender, [recipient], mail.as_bytes(policy=_ON_THE_WIRE))
        except SMTPSenderRefused as error:
            await self.close()
            raise Unreachable(f"sender refused {error.code}") from None
        except SMTPRecipientsRefused as error:
            raise _meaning(error.recipients[0].code) from None
        except SMTPResponseException as error:
            raise _meaning(error.code) from None
        except (ValueError, UnicodeError):
            raise Refused("bad address") from None
        except (SMTPException, OSError, TimeoutError) as error:
            await self.close()
            raise NoAnswer(type(error).__name__) from None
        except asyncio.CancelledError:
            # Half a mail may be on the wire; the next one needs a clean connection.
            await self.close()
            raise
        self._last_use = time.monotonic()

    async def _open(self) -> SMTP:
        idle = time.monotonic() - self._last_use
        if self._client is not None and self._client.is_connected and idle < _IDLE_SECONDS:
            return self._client
        await self.close()
        settings = self._settings
        password = settings.password
        client = SMTP(
            hostname=settings.host,
            port=settings.port,
            use_tls=settings.security == "tls",
            start_tls=settings.security == "starttls",
            username=settings.username,
            password=None if password is None else password.get_secret_value(),
            timeout=settings.timeout_seconds,
        )
        try:
            await client.connect()
        except (SMTPException, OSError, TimeoutError) as error:
            client.close()
            raise Unreachable(type(error).__name__) from None
        self._client = client
        self._last_use = time.monotonic()
        return client

    async def close(self) -> None:
        """Hang up; the next mail opens a new connection."""
        client, self._client = self._client, None
        if client is not None:
            client.close()


def _meaning(code: int) -> Exception:
    if code <= _LAST_TRANSIENT_CODE:
        return NotTaken(f"answered {code}")
    return Refused(f"refused {code}")

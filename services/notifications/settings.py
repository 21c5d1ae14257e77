"""Settings of this service, on top of those that all services share."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field, SecretStr

from shared.settings import ServiceSettings


class SmtpSettings(BaseModel):
    """The mail server, and how hard we try."""

    host: str = "127.0.0.1"
    port: int = 1025
    security: Literal["none", "starttls", "tls"] = "none"
    username: str | None = None
    password: SecretStr | None = None
    timeout_seconds: float = Field(default=20.0, gt=0)
    connections: int = Field(default=4, ge=1, le=50)
    """Mails in flight at once, each on a connection of its own."""
    batch: int = Field(default=50, ge=1, le=500)
    """Mails claimed, and recorded, in one transaction."""
    claim_seconds: float = Field(default=120.0, ge=10)
    """Real time after which another replica sends what a killed one had claimed."""
    retry_seconds: float = Field(default=30.0, gt=0)
    """Real time before the second attempt; doubles with each further one."""
    retry_longest_seconds: float = Field(default=3600.0, gt=0)
    give_up_seconds: float = Field(default=172_800.0, gt=0)
    """Real age at which a mail that the server keeps refusing is given up."""


class MailSettings(BaseModel):
    """Who the mails are from, and where their recipients can answer."""

    from_name: str = "Updraft"
    from_address: str = "updraft@localhost.localdomain"
    public_url: str | None = None
    """Public address of this service, for unsubscribe links; None: where it listens."""
    unsubscribe_days: int = Field(default=365, ge=30)
    address_wait_days: float = Field(default=7.0, ge=0)
    """Programme time that a missing address is waited for …"""
    address_wait_seconds: float = Field(default=60.0, ge=0)
    """… and at least so much real time, so that a fast clock does not outrun the broker."""


class JobSettings(BaseModel):
    """Real seconds between two rounds of each job."""

    send_seconds: float = Field(default=0.1, gt=0)
    nudge_seconds: float = Field(default=0.2, gt=0)
    digest_seconds: float = Field(default=1.0, gt=0)


class Settings(ServiceSettings):
    """All settings of notifications."""

    smtp: SmtpSettings = SmtpSettings()
    mail: MailSettings = MailSettings()
    jobs: JobSettings = JobSettings()

    @property
    def unsubscribe_base(self) -> str:
        """The address that unsubscribe links start with."""
        default = f"http://{self.http.host}:{self.http.port}"
        return (self.mail.public_url or default).rstrip("/")

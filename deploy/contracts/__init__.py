"""The event contracts: JSON Schemas and AsyncAPI documents, made from the catalogue and guarded.

Within a version only optional fields are added; anything else is a new `.v2` type beside the old.
"""

from deploy.contracts.command import app

__all__ = ["app"]

"""Settings: who may open the page, and how large a file it takes."""

from __future__ import annotations

from pydantic import BaseModel, Field, SecretStr, field_validator

from shared.config.groups.serving import SHORTEST_KEY
from shared.config.groups.values import keys_in


class PageGroup(BaseModel):
    """Who may open the page, and how large a file it takes."""

    page_keys: SecretStr | None = Field(
        None,
        description="Keys that open the page (`/api/ui`) for those who steer, 16 characters or more each, with blanks "
        "or commas between; without any key or account nobody can open it.",
    )
    page_reader_keys: SecretStr | None = Field(
        None, description="Keys that open the page for those who only look: they can change and ask nothing."
    )
    page_accounts: str = Field(
        "",
        description="Where App Service authentication signs people in: the accounts that steer on the page, with "
        "commas between, or `*` for all; others that it lets in only look. Empty: its sign-in is not believed.",
    )
    page_upload_mb: int = Field(
        100,
        ge=0,
        le=200,
        description="Largest file that the page takes, in MB; 0: none. Larger ones are dropped from the command line.",
    )

    @field_validator("page_keys", "page_reader_keys")
    @classmethod
    def _long_page_keys(cls, value: SecretStr | None) -> SecretStr | None:
        if value and any(len(key) < SHORTEST_KEY for key in keys_in(value)):
            raise ValueError(f"a key has at least {SHORTEST_KEY} characters")
        return value

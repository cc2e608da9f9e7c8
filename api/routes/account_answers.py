"""What the answers about users look like, for /docs. Tests hold those that are built by hand against these models."""

from __future__ import annotations

from pydantic import Field

from api.routes.answers import Answer


class User(Answer):
    name: str
    roles: list[str] = Field(description="`user`, `admin`")
    disabled: bool = Field(description="Whether tokens and keys of this user are refused.")
    has_password: bool = Field(description="False for who cannot log in here.")
    created_at: str
    updated_at: str


class UserPage(Answer):
    items: list[User]
    next_cursor: str | None = Field(description="`cursor` of the next page; null at the end.")


class LoggedIn(Answer):
    access_token: str = Field(description="`Authorization: Bearer …`, and `auth.token` of a socket.")
    token_type: str = Field(description="`Bearer`")
    expires_in: int = Field(description="Seconds the access token is good for.")
    refresh_token: str = Field(description="Good for one refresh, whose answer has the next one.")
    refresh_expires_at: str = Field(description="When to log in again at the latest.")
    user: User


class Me(Answer):
    name: str
    roles: list[str]
    known: bool = Field(description="False for a user of whom nothing is kept here: he has no password and no keys.")
    scopes: list[str] | None = Field(description="What the key that was sent is good for; null for a token.")
    priority_max: int = Field(description="Highest priority of a backtest of this user.")
    may_change_data: bool = Field(description="Whether shared market data may be imported.")


class Key(Answer):
    key_id: str
    name: str
    scopes: list[str]
    created_at: str
    expires_at: str


class NewKey(Key):
    key: str = Field(description="Used as a token is. It is shown this once.")


class Keys(Answer):
    items: list[Key]

"""What the answers about users look like, for /docs. Tests hold those that are built by hand against these models."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from api.routes.answers import Answer, Instant

Role = Literal["user", "admin"]
Scope = Literal["read", "write", "data", "admin"]


class User(Answer):
    """Somebody of whom something is kept here."""

    name: str = Field(description="The `sub` of his tokens.", examples=["ann"])
    roles: list[Role] = Field(description="What he may do.")
    disabled: bool = Field(description="Whether tokens and keys of this user are refused.")
    has_password: bool = Field(description="False for who cannot log in here.")
    created_at: Instant = Field(description="When he was added.")
    updated_at: Instant = Field(description="When something of him changed last.")


class UserPage(Answer):
    """A part of all users, by name."""

    items: list[User] = Field(description="At most `limit` of them.")
    next_cursor: str | None = Field(description="`cursor` of the next page; null at the end.")


class LoggedIn(Answer):
    """What to go on with after a login or a refresh."""

    access_token: str = Field(description="`Authorization: Bearer …`, and `auth.token` of a socket.")
    token_type: Literal["Bearer"] = Field(description="How it is sent.")
    expires_in: int = Field(ge=0, description="Seconds the access token is good for.", examples=[900])
    refresh_token: str = Field(description="Good for one refresh, whose answer has the next one.")
    refresh_expires_at: Instant = Field(description="When to log in again at the latest.")
    user: User = Field(description="Who logged in.")


class Me(Answer):
    """Who asks, and what he may do."""

    name: str = Field(description="The `sub` of the token.", examples=["ann"])
    roles: list[Role] = Field(description="As they are kept here, whatever the token says.")
    known: bool = Field(description="False for a user of whom nothing is kept here: he has no password and no keys.")
    scopes: list[Scope] | None = Field(description="What the key that was sent is good for; null for a token.")
    priority_max: int = Field(description="Highest priority of a backtest of this user.")
    may_change_data: bool = Field(description="Whether shared market data may be imported.")


class Key(Answer):
    """A key of a program, without the key itself."""

    key_id: str = Field(description="Names it.")
    name: str = Field(description="What it is for.", examples=["nightly runs"])
    scopes: list[Scope] = Field(description="What it is good for.")
    created_at: Instant = Field(description="When it was made.")
    expires_at: Instant = Field(description="When it ends.")


class NewKey(Key):
    """A key that was just made."""

    key: str = Field(description="Used as a token is. It is shown this once.")


class Keys(Answer):
    """Somebody's keys."""

    items: list[Key] = Field(description="All of them.")

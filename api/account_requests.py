"""What is sent to log in and to keep users and keys. Refusals never repeat a value: it may be a password."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field

from api.passwords import PASSWORD_MAX_CHARS, PASSWORD_MIN_CHARS
from shared.users import NAME_PATTERN
from shared.wire import Asked, Whole, storable

KEY_DAYS_MAX = 366
_SECRET = {"format": "password", "writeOnly": True}
Password = Annotated[str, Field(min_length=1, max_length=PASSWORD_MAX_CHARS, json_schema_extra=_SECRET)]
NewPassword = Annotated[
    str, Field(min_length=PASSWORD_MIN_CHARS, max_length=PASSWORD_MAX_CHARS, json_schema_extra=_SECRET)
]
_Text = Annotated[str, Field(min_length=1), AfterValidator(storable)]
RoleName = Literal["user", "admin"]
ScopeName = Literal["read", "write", "data", "admin"]
Roles = Annotated[
    list[RoleName], Field(min_length=1, max_length=8, description="`user`, or `admin` for who may do everything.")
]


class _Secretive(Asked):
    model_config = ConfigDict(hide_input_in_errors=True)


class LoginRequest(_Secretive):
    """The body of `POST /api/auth/login`."""

    name: Annotated[_Text, Field(max_length=256)] = Field(description="Who logs in.", examples=["ann"])
    password: Password = Field(description="His password.")


class RefreshRequest(_Secretive):
    """The body of `POST /api/auth/refresh` and `POST /api/auth/logout`."""

    refresh_token: str = Field(
        min_length=1, max_length=200, json_schema_extra=_SECRET, description="Of the login, or of its last refresh."
    )


class AddUserRequest(_Secretive):
    """The body of `POST /api/users`."""

    name: str = Field(pattern=NAME_PATTERN, description="What the user is called, and the `sub` of his tokens.")
    password: NewPassword | None = Field(
        default=None, description="Without one the user cannot log in: for users of an outside issuer."
    )
    roles: Roles = Field(default_factory=lambda: ["user"])


class SetPasswordRequest(_Secretive):
    """The body of `POST /api/users/{name}/password`."""

    password: NewPassword = Field(description="The new one.")


class ChangePasswordRequest(_Secretive):
    """The body of `POST /api/users/me/password`."""

    password: Password = Field(description="The one that is valid now.")
    new_password: NewPassword = Field(description="The one that is to be.")


class RolesRequest(_Secretive):
    """The body of `POST /api/users/{name}/roles`."""

    roles: Roles


class KeyRequest(_Secretive):
    """The body of `POST /api/users/me/keys`."""

    name: Annotated[_Text, Field(max_length=100)] = Field(description="What it is for.")
    scopes: list[ScopeName] = Field(
        min_length=1,
        max_length=8,
        description="`read` sees and watches all of one's own, `write` submits, controls and deletes backtests, `data` "
        "changes market data, `admin` keeps users; each as far as the roles allow.",
    )
    expires_in_days: Whole = Field(default=90, ge=1, le=KEY_DAYS_MAX, description="Days until it ends.")

"""Logging in, and keeping users and keys: every such verb once, whichever edge it comes in by.

Whether a name is unknown, a password wrong or a user disabled is not told apart: same answer, same work.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from api.account_requests import (
    AddUserRequest,
    ChangePasswordRequest,
    KeyRequest,
    LoginRequest,
    RefreshRequest,
    RolesRequest,
    SetPasswordRequest,
)
from api.auth import GENERATION_CLAIM, Identity, sign_token
from api.limits import LoginLimits
from api.passwords import Passwords, check_new_password
from api.permissions import may_change_data, priority_max_of
from shared.errors import Conflict, FieldError, InvalidRequest, Unauthenticated
from shared.families import Families, Refreshed, Verdict, read_refresh_token
from shared.instants import iso_from_ms
from shared.settings import Settings
from shared.users import KeyDocument, Role, Scope, UserDocument, Users, new_key

log = logging.getLogger(__name__)

_DAY_MS = 86_400_000
_WRONG = "name or password is wrong, or the user is disabled"
_NO_REFRESH = "the refresh token is not valid (any more); log in again"


@dataclass(frozen=True, slots=True)
class UserPage:
    items: list[dict[str, Any]]
    next_cursor: str | None


class Accounts:
    """What can be asked about users. Methods that take `asker` raise `Forbidden` for who may not."""

    def __init__(
        self, settings: Settings, users: Users, families: Families, passwords: Passwords, limits: LoginLimits
    ) -> None:
        self._settings = settings
        self._users = users
        self._families = families
        self._passwords = passwords
        self._limits = limits

    # Logging in

    async def login(self, request: LoginRequest, address: str) -> dict[str, Any]:
        """The tokens of a new login from this address.

        Raises `Unauthenticated`, `TooMany` after too many failures, `Conflict` where an outside issuer makes tokens.
        """
        self._require_own_tokens()
        user = await self._check_password(request.name, request.password, address)
        if self._passwords.is_outdated(user["passwordHash"]):
            renewed = await self._passwords.hash(request.password)
            await self._users.renew_hash(user["_id"], user["passwordHash"], renewed)
        begun = await self._families.begin(user, self._settings.refresh_ttl_s)
        log.info("user %s logged in", user["_id"])
        return self._tokens(user, begun)

    async def _check_password(self, name: str, password: str, address: str) -> UserDocument:
        await self._limits.take(name, address)
        user = await self._users.find(name)
        fits = await self._passwords.verify(user["passwordHash"] if user else None, password)
        if user is None or not fits or user["disabled"]:
            raise Unauthenticated(_WRONG)
        await self._limits.give_back(name, address)
        return user

    async def refresh(self, request: RefreshRequest) -> dict[str, Any]:
        """New tokens for a refresh token, which ends. Raises `Unauthenticated`, also where its family has ended."""
        self._require_own_tokens()
        parts = read_refresh_token(request.refresh_token)
        if parts is None:
            raise Unauthenticated(_NO_REFRESH)
        refreshed = await self._families.refresh(*parts)
        if isinstance(refreshed, Verdict):
            if refreshed is Verdict.COPIED:
                log.warning("a refresh token was used again after it had been replaced: all of that login is ended")
            raise Unauthenticated(_NO_REFRESH)
        user = await self._users.find(refreshed.user_id)
        if user is None or user["disabled"] or user["generation"] != refreshed.generation:
            await self._families.end(parts[0])
            raise Unauthenticated(_NO_REFRESH)
        return self._tokens(user, refreshed)

    async def logout(self, request: RefreshRequest) -> None:
        """Ends the login of a refresh token, whichever of its tokens it is. One that is none is as good as ended."""
        parts = read_refresh_token(request.refresh_token)
        if parts is not None:
            await self._families.end(parts[0])

    def _require_own_tokens(self) -> None:
        if self._settings.jwt_jwks_url or self._settings.jwt_secret is None:
            raise Conflict("tokens of this gateway come from an outside issuer; log in there")

    def _tokens(self, user: UserDocument, refreshed: Refreshed) -> dict[str, Any]:
        assert self._settings.jwt_secret is not None
        access = sign_token(
            self._settings,
            self._settings.jwt_secret.get_secret_value(),
            user["_id"],
            self._settings.access_ttl_s,
            roles=user["roles"],
            **{GENERATION_CLAIM: user["generation"]},
        )
        return {
            "accessToken": access,
            "tokenType": "Bearer",
            "expiresIn": self._settings.access_ttl_s,
            "refreshToken": refreshed.token,
            "refreshExpiresAt": iso_from_ms(refreshed.expires_at_ms),
            "user": user_as_wire(user),
        }

    # Oneself

    async def me(self, asker: Identity) -> dict[str, Any]:
        user = await self._users.find(asker.user_id)
        scopes = None if asker.scopes is None else [one.value for one in Scope if one in asker.scopes]
        return {
            "name": asker.user_id,
            "roles": user["roles"] if user else [Role.USER.value],
            "known": user is not None,
            "scopes": scopes,
            "priorityMax": priority_max_of(asker, self._settings),
            "mayChangeData": may_change_data(asker, self._settings),
        }

    async def change_password(self, asker: Identity, request: ChangePasswordRequest, address: str) -> None:
        """Ends every login of the asker's. Raises `InvalidRequest` where the password is not the present one."""
        asker.require_person()
        self._require_own_tokens()
        user = await self._known(asker)
        check_new_password("newPassword", request.new_password, user["_id"])
        try:
            kept = (await self._check_password(user["_id"], request.password, address))["passwordHash"]
        except Unauthenticated:
            # Not 401: the token is good, and a client would try to get another one.
            raise InvalidRequest.of("password", "is not the present one; send that too", "wrong_password") from None
        renewed = await self._passwords.hash(request.new_password)
        await self._users.set_password(user["_id"], renewed, instead_of=kept)
        await self._families.end_all_of(user["_id"])

    async def add_key(self, asker: Identity, request: KeyRequest) -> dict[str, Any]:
        """The new key, with what it is used by, `key`, which nobody can read again."""
        asker.require_person()
        user = await self._known(asker)
        now_ms = self._users.now_ms()
        scopes = {Scope(scope) for scope in request.scopes}
        new = new_key(user["_id"], request.name, scopes, now_ms, now_ms + request.expires_in_days * _DAY_MS)
        await self._users.add_key(new.document)
        return key_as_wire(new.document) | {"key": new.token}

    async def list_keys(self, asker: Identity) -> list[dict[str, Any]]:
        asker.require_person()
        return [key_as_wire(one) for one in await self._users.keys_of(asker.user_id)]

    async def delete_key(self, asker: Identity, key_id: str) -> None:
        asker.require_person()
        await self._users.delete_key(asker.user_id, key_id)

    async def _known(self, asker: Identity) -> UserDocument:
        user = await self._users.find(asker.user_id)
        if user is None:
            raise Conflict("only users that are kept here have passwords and keys; an admin can add you")
        return user

    # Everybody, for admins

    async def list_users(self, asker: Identity, *, limit: int, cursor: str | None) -> UserPage:
        asker.require_admin()
        users, next_cursor = await self._users.list_page(limit=limit, after=cursor)
        return UserPage([user_as_wire(one) for one in users], next_cursor)

    async def get_user(self, asker: Identity, name: str) -> dict[str, Any]:
        asker.require_admin()
        return user_as_wire(await self._users.get(name))

    async def add_user(self, asker: Identity, request: AddUserRequest) -> dict[str, Any]:
        """Raises `Conflict` for a name that is taken, `InvalidRequest`."""
        asker.require_admin()
        roles = [Role(role) for role in request.roles]
        user = await add_user(self._users, self._passwords, request.name, request.password, roles)
        log.info("user %s was added by %s", request.name, asker.user_id)
        return user_as_wire(user)

    async def set_disabled(self, asker: Identity, name: str, disabled: bool) -> dict[str, Any]:
        """Raises `NotFound`, and `Conflict` for who would lock himself out."""
        asker.require_admin()
        if disabled:
            _refuse_oneself(asker, name, "disable yourself")
        user = await self._users.set_disabled(name, disabled)
        await self._families.end_all_of(name)
        log.info("user %s was %s by %s", name, "disabled" if disabled else "enabled", asker.user_id)
        return user_as_wire(user)

    async def set_password(self, asker: Identity, name: str, request: SetPasswordRequest) -> None:
        """Ends every login of that user. Raises `NotFound`, `InvalidRequest`."""
        asker.require_admin()
        await set_password(self._users, self._families, self._passwords, name, request.password)
        log.info("the password of user %s was set by %s", name, asker.user_id)

    async def set_roles(self, asker: Identity, name: str, request: RolesRequest) -> dict[str, Any]:
        """Raises `NotFound`, and `Conflict` for an admin who would be none any more by his own hand."""
        asker.require_admin()
        if Role.ADMIN not in request.roles:
            _refuse_oneself(asker, name, "take the role admin from yourself")
        user = await self._users.set_roles(name, [Role(role) for role in request.roles])
        log.info("user %s was given the roles %s by %s", name, ", ".join(user["roles"]), asker.user_id)
        return user_as_wire(user)

    async def list_keys_of(self, asker: Identity, name: str) -> list[dict[str, Any]]:
        asker.require_admin()
        await self._users.get(name)
        return [key_as_wire(one) for one in await self._users.keys_of(name)]

    async def delete_key_of(self, asker: Identity, name: str, key_id: str) -> None:
        asker.require_admin()
        await self._users.delete_key(name, key_id)


async def add_user(
    users: Users, passwords: Passwords, name: str, password: str | None, roles: Collection[Role]
) -> UserDocument:
    """Without a password the user cannot log in. Raises `Conflict` for a name that is taken, `InvalidRequest`."""
    if password is None:
        return await users.add(name, "", roles)
    check_new_password("password", password, name)
    return await users.add(name, await passwords.hash(password), roles)


async def set_password(users: Users, families: Families, passwords: Passwords, name: str, password: str) -> None:
    """Ends every login of that user. Raises `NotFound`, `InvalidRequest`."""
    await users.get(name)
    check_new_password("password", password, name)
    await users.set_password(name, await passwords.hash(password))
    await families.end_all_of(name)


def user_as_wire(user: UserDocument) -> dict[str, Any]:
    return {
        "name": user["_id"],
        "roles": user["roles"],
        "disabled": bool(user["disabled"]),  # some servers keep a number
        "hasPassword": bool(user["passwordHash"]),
        "createdAt": iso_from_ms(user["createdAt"]),
        "updatedAt": iso_from_ms(user["updatedAt"]),
    }


def key_as_wire(key: KeyDocument) -> dict[str, Any]:
    """A key without anything it could be used by."""
    return {
        "keyId": key["_id"],
        "name": key["name"],
        "scopes": key["scopes"],
        "createdAt": iso_from_ms(key["createdAt"]),
        "expiresAt": iso_from_ms(key["expiresAt"]),
    }


def _refuse_oneself(asker: Identity, name: str, what: str) -> None:
    if asker.user_id == name:
        message = f"you cannot {what}; ask another admin, or use `backfleet user`"
        raise Conflict(message, [FieldError("name", message, "conflict")])

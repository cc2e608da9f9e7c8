"""Users over HTTP: logging in, oneself and one's keys, and everybody for admins."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query, Request, Response
from fastapi.responses import JSONResponse

from api.account_requests import (
    AddUserRequest,
    ChangePasswordRequest,
    KeyRequest,
    LoginRequest,
    RefreshRequest,
    RolesRequest,
    SetPasswordRequest,
)
from api.routes.account_answers import Keys, LoggedIn, Me, NewKey, User, UserPage
from api.routes.requests import AUTH_ROOT, USERS_ROOT, AnyCaller, described_body, new_router, read_body
from api.services import services_of
from shared.wire import decode

PAGE_MAX = 500
# Answers with secrets stay out of every cache.
_SECRET = {"Cache-Control": "no-store"}
_ENDS_KEY = "It is refused within 5 seconds everywhere."
NamePath = Annotated[str, Path(description="Whose.", examples=["ann"])]
KeyPath = Annotated[str, Path(description="`keyId` of the key.")]

auth_router = new_router(AUTH_ROOT)
router = new_router(USERS_ROOT)


def address_of(request: Request) -> str:
    """Where a request comes from: behind a proxy that is trusted, what it says of it."""
    return request.client.host if request.client else ""


@auth_router.post(
    "/login",
    response_model=None,
    summary="Log in",
    description="After too many failures of a name or an address: 429, and `Retry-After` says how long.",
    responses={200: {"model": LoggedIn}},
    openapi_extra=described_body(LoginRequest),
)
async def login(request: Request) -> Response:
    body = decode(LoginRequest, await read_body(request))
    return JSONResponse(await services_of(request).accounts.login(body, address_of(request)), headers=_SECRET)


@auth_router.post(
    "/refresh",
    response_model=None,
    summary="New tokens for a refresh token",
    description="Each refresh token is good once. One that comes again, later than a few seconds, ends the login.",
    responses={200: {"model": LoggedIn}},
    openapi_extra=described_body(RefreshRequest),
)
async def refresh(request: Request) -> Response:
    body = decode(RefreshRequest, await read_body(request))
    return JSONResponse(await services_of(request).accounts.refresh(body), headers=_SECRET)


@auth_router.post(
    "/logout",
    status_code=204,
    response_model=None,
    summary="End a login",
    description="Its access token ends by itself.",
    openapi_extra=described_body(RefreshRequest),
)
async def logout(request: Request) -> Response:
    await services_of(request).accounts.logout(decode(RefreshRequest, await read_body(request)))
    return Response(status_code=204)


@router.get(
    "/me",
    response_model=None,
    summary="Who asks",
    description="What the token or key that was sent is good for.",
    responses={200: {"model": Me}},
)
async def get_me(request: Request, asker: AnyCaller) -> Response:
    return JSONResponse(await services_of(request).accounts.me(asker))


@router.post(
    "/me/password",
    status_code=204,
    response_model=None,
    summary="Change one's password",
    description="Ends every login of the user, this one too.",
    openapi_extra=described_body(ChangePasswordRequest),
)
async def change_password(request: Request, asker: AnyCaller) -> Response:
    body = decode(ChangePasswordRequest, await read_body(request))
    await services_of(request).accounts.change_password(asker, body, address_of(request))
    return Response(status_code=204)


@router.post(
    "/me/keys",
    status_code=201,
    response_model=None,
    summary="Make a key for a program",
    description="The answer shows it, this once.",
    responses={201: {"model": NewKey}},
    openapi_extra=described_body(KeyRequest),
)
async def add_key(request: Request, asker: AnyCaller) -> Response:
    body = decode(KeyRequest, await read_body(request))
    return JSONResponse(await services_of(request).accounts.add_key(asker, body), 201, headers=_SECRET)


@router.get(
    "/me/keys",
    response_model=None,
    summary="One's keys",
    description="Without the keys themselves, which nobody keeps.",
    responses={200: {"model": Keys}},
)
async def list_keys(request: Request, asker: AnyCaller) -> Response:
    return JSONResponse({"items": await services_of(request).accounts.list_keys(asker)})


@router.delete(
    "/me/keys/{key_id}",
    status_code=204,
    response_model=None,
    summary="Delete one of one's keys",
    description=_ENDS_KEY,
)
async def delete_key(request: Request, key_id: KeyPath, asker: AnyCaller) -> Response:
    await services_of(request).accounts.delete_key(asker, key_id)
    return Response(status_code=204)


@router.get(
    "",
    response_model=None,
    summary="Users (admins)",
    description="All of whom something is kept here, by name.",
    responses={200: {"model": UserPage}},
)
async def list_users(
    request: Request,
    asker: AnyCaller,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX, description="Most of one page.")] = 100,
    cursor: Annotated[str | None, Query(max_length=256, description="`nextCursor` of the page before.")] = None,
) -> Response:
    page = await services_of(request).accounts.list_users(asker, limit=limit, cursor=cursor)
    return JSONResponse({"items": page.items, "nextCursor": page.next_cursor})


@router.post(
    "",
    status_code=201,
    response_model=None,
    summary="Add a user (admins)",
    description="409 where the name is taken.",
    responses={201: {"model": User}},
    openapi_extra=described_body(AddUserRequest),
)
async def add_user(request: Request, asker: AnyCaller) -> Response:
    body = decode(AddUserRequest, await read_body(request))
    user = await services_of(request).accounts.add_user(asker, body)
    return JSONResponse(user, 201, {"Location": f"{USERS_ROOT}/{user['name']}"})


@router.get(
    "/{name}",
    response_model=None,
    summary="One user (admins)",
    description="What is kept of him, without what is secret.",
    responses={200: {"model": User}},
)
async def get_user(request: Request, name: NamePath, asker: AnyCaller) -> Response:
    return JSONResponse(await services_of(request).accounts.get_user(asker, name))


@router.post(
    "/{name}/disable",
    response_model=None,
    summary="Disable a user (admins)",
    description="Tokens and keys are refused within 5 seconds everywhere, and sockets closed within 10.",
    responses={200: {"model": User}},
)
async def disable_user(request: Request, name: NamePath, asker: AnyCaller) -> Response:
    return JSONResponse(await services_of(request).accounts.set_disabled(asker, name, True))


@router.post(
    "/{name}/enable",
    response_model=None,
    summary="Enable a user again (admins)",
    description="Keys work again; logins from before do not.",
    responses={200: {"model": User}},
)
async def enable_user(request: Request, name: NamePath, asker: AnyCaller) -> Response:
    return JSONResponse(await services_of(request).accounts.set_disabled(asker, name, False))


@router.post(
    "/{name}/password",
    status_code=204,
    response_model=None,
    summary="Set a user's password (admins)",
    description="Ends every login of that user. Keys stay.",
    openapi_extra=described_body(SetPasswordRequest),
)
async def set_password(request: Request, name: NamePath, asker: AnyCaller) -> Response:
    body = decode(SetPasswordRequest, await read_body(request))
    await services_of(request).accounts.set_password(asker, name, body)
    return Response(status_code=204)


@router.post(
    "/{name}/roles",
    response_model=None,
    summary="Set a user's roles (admins)",
    description="They count within 5 seconds everywhere.",
    responses={200: {"model": User}},
    openapi_extra=described_body(RolesRequest),
)
async def set_roles(request: Request, name: NamePath, asker: AnyCaller) -> Response:
    body = decode(RolesRequest, await read_body(request))
    return JSONResponse(await services_of(request).accounts.set_roles(asker, name, body))


@router.get(
    "/{name}/keys",
    response_model=None,
    summary="A user's keys (admins)",
    description="Without the keys themselves, which nobody keeps.",
    responses={200: {"model": Keys}},
)
async def list_keys_of(request: Request, name: NamePath, asker: AnyCaller) -> Response:
    return JSONResponse({"items": await services_of(request).accounts.list_keys_of(asker, name)})


@router.delete(
    "/{name}/keys/{key_id}",
    status_code=204,
    response_model=None,
    summary="Delete a user's key (admins)",
    description=_ENDS_KEY,
)
async def delete_key_of(request: Request, name: NamePath, key_id: KeyPath, asker: AnyCaller) -> Response:
    await services_of(request).accounts.delete_key_of(asker, name, key_id)
    return Response(status_code=204)

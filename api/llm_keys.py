"""Keeping a user's keys for providers of language models: every such verb once, whichever edge it comes in by."""

from __future__ import annotations

from typing import Any

from api.auth import Identity
from api.llm_requests import ProviderKeyRequest
from shared import llm_keys
from shared.instants import iso_from_ms
from shared.llm_urls import check_base_url
from shared.settings import Settings


class LlmKeys:
    """What a person can ask of his keys; programs cannot, whose own keys may be in many hands.

    Every method raises `Forbidden` for those.
    """

    def __init__(self, kept: llm_keys.LlmKeys, settings: Settings) -> None:
        self._keys = kept
        self._private_allowed = settings.llm_private_urls

    async def put(self, asker: Identity, provider: str, asked: ProviderKeyRequest) -> dict[str, Any]:
        """Raises `InvalidRequest`, and `Conflict` where this gateway has nothing to seal keys with."""
        asker.require_person()
        base_url = ""
        if asked.base_url is not None:
            base_url = check_base_url(asked.base_url, private_allowed=self._private_allowed)
        key = llm_keys.ProviderKey(asked.key, base_url)
        return _as_wire(await self._keys.put(asker.user_id, provider, key))

    async def get(self, asker: Identity, provider: str) -> dict[str, Any]:
        """Raises `NotFound`."""
        asker.require_person()
        return _as_wire(await self._keys.get(asker.user_id, provider))

    async def list_keys(self, asker: Identity) -> list[dict[str, Any]]:
        asker.require_person()
        return [_as_wire(one) for one in await self._keys.list_of(asker.user_id)]

    async def delete(self, asker: Identity, provider: str) -> None:
        """Raises `NotFound`."""
        asker.require_person()
        await self._keys.delete(asker.user_id, provider)


def _as_wire(key: llm_keys.LlmKeyDocument) -> dict[str, Any]:
    return {
        "provider": key["provider"],
        "key": key["shown"],
        "baseUrl": key["baseUrl"] or None,
        "createdAt": iso_from_ms(key["createdAt"]),
        "updatedAt": iso_from_ms(key["updatedAt"]),
    }

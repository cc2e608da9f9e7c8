"""Where users' model servers may be: nothing that only we can reach, however it is written."""

from __future__ import annotations

import ipaddress

import pytest

from shared.errors import InvalidRequest
from shared.llm_urls import check_base_url, is_public

PRIVATE = [
    *("127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1"),
    *("255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1"),
    *("64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:53aa:64c::1"),
]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_everybodys_is_refused_in_each_of_its_forms(address: str) -> None:
    found = ipaddress.ip_address(address)
    assert not is_public(found)
    host = f"[{address}]" if found.version == 6 else address
    with pytest.raises(InvalidRequest, match="private"):
        check_base_url(f"https://{host}:8443/v1", private_allowed=False)
    assert check_base_url(f"http://{host}/v1", private_allowed=True) == f"http://{host}/v1"


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST.", "ollama", "db.internal", "printer.local", "a.localhost", "gateway.home.arpa"],
)
def test_a_name_that_only_a_private_network_knows_is_refused(host: str) -> None:
    with pytest.raises(InvalidRequest, match="BACKFLEET_LLM_PRIVATE_URLS"):
        check_base_url(f"https://{host}/v1", private_allowed=False)


@pytest.mark.parametrize(
    "url",
    [
        *("", "https://", "https:///v1", "ftp://models.example", "models.example/v1", "file:///etc/passwd", "https:/x"),
        *("https://127.1", "https://2130706433/", "https://0x7f000001/", "https://0177.0.0.1/", "https://10.1/"),
        *("https://models.example@10.0.0.1/", "https://models.example\\@10.0.0.1/", "https://u:p@models.example"),
        *(
            "https://models.example/?to=x",
            "https://models.example/#x",
            "https://models.example:0",
            "https://a b.example",
        ),
        *(
            "https://models.example:99999",
            "https://１２７.0.0.1/",
            "https://[::1",
            "https://-a.example",
            "https://a..b",
        ),
        *("https://models.example/\nv1", "https://models.example/" + "x" * 500, "https://x%2e0x7f.1/"),
    ],
)
def test_what_is_no_plain_url_is_refused_without_being_repeated(url: str) -> None:
    for private_allowed in (False, True):
        with pytest.raises(InvalidRequest) as refused:
            check_base_url(url, private_allowed=private_allowed)
        assert [one.field for one in refused.value.errors] == ["baseUrl"]
        assert len(url) < 10 or url not in refused.value.message


def test_a_public_https_url_is_taken_as_it_is() -> None:
    for url in ("https://openrouter.ai/api/v1", "https://models.example:8443", "https://8.8.8.8/v1"):
        assert check_base_url(url + "/", private_allowed=False) == url
    with pytest.raises(InvalidRequest, match="https://"):
        check_base_url("http://models.example/v1", private_allowed=False)

"""What a refresh token is, decided without a server and without a clock."""

from typing import Any, cast

import pytest

from shared.families import GRACE_MS, FamilyDocument, Verdict, judge, new_family, read_refresh_token, turned
from shared.users import UserDocument

USER: UserDocument = {
    "_id": "ann",
    "passwordHash": "",
    "roles": ["user"],
    "disabled": False,
    "generation": 3,
    "createdAt": 0,
    "updatedAt": 0,
}
TTL_MS = 3_600_000


class Holder:
    """A family, and the secrets that were given out, oldest first."""

    def __init__(self) -> None:
        self.token, self.family = new_family(USER, 0, TTL_MS)
        parts = read_refresh_token(self.token)
        assert parts is not None
        self.secrets = [parts[1]]

    def present(self, secret: str, now_ms: int) -> Verdict:
        verdict = judge(self.family, secret, now_ms)
        if verdict in (Verdict.TURN, Verdict.GRACE):
            successor = f"secret-{len(self.secrets)}"
            fields = turned(self.family, successor, verdict, now_ms)
            self.family = cast("FamilyDocument", {**cast("dict[str, Any]", self.family), **fields})
            self.secrets.append(successor)
        return verdict


def test_each_token_is_good_once_and_gives_the_next() -> None:
    holder = Holder()
    for turn in range(5):
        assert holder.present(holder.secrets[-1], turn * 60_000) is Verdict.TURN
        assert holder.family["turn"] == turn + 1
    assert holder.family["userId"] == "ann"
    assert holder.family["generation"] == 3


def test_the_predecessor_is_taken_once_within_the_grace_and_kills_the_lost_answer() -> None:
    holder = Holder()
    first = holder.secrets[0]
    assert holder.present(first, 1_000) is Verdict.TURN
    assert holder.present(first, 1_000 + GRACE_MS) is Verdict.GRACE
    lost, again = holder.secrets[1:]
    assert judge(holder.family, again, 60_000) is Verdict.TURN
    assert judge(holder.family, lost, 60_000) is Verdict.COPIED
    assert judge(holder.family, first, 1_000 + GRACE_MS) is Verdict.COPIED, "once is enough"


def test_the_grace_ends_after_a_few_seconds() -> None:
    holder = Holder()
    holder.present(holder.secrets[0], 1_000)
    assert judge(holder.family, holder.secrets[0], 1_001 + GRACE_MS) is Verdict.COPIED


def test_a_grace_is_not_a_new_grace() -> None:
    holder = Holder()
    holder.present(holder.secrets[0], 0)
    holder.present(holder.secrets[0], 5_000)
    holder.present(holder.secrets[2], 6_000)
    assert judge(holder.family, holder.secrets[0], 6_001) is Verdict.COPIED
    assert judge(holder.family, holder.secrets[1], 6_001) is Verdict.COPIED
    assert judge(holder.family, holder.secrets[2], 6_001) is Verdict.GRACE, "of the turn that came after it"


@pytest.mark.parametrize("thief_first", [True, False])
def test_of_two_holders_of_one_token_neither_goes_on_unnoticed(thief_first: bool) -> None:
    holder = Holder()
    stolen = holder.secrets[0]
    assert holder.present(stolen, 0) is Verdict.TURN  # one of the two
    first_has = holder.secrets[-1]
    assert holder.present(stolen, 3_000) is Verdict.GRACE  # the other one, in time
    second_has = holder.secrets[-1]
    order = (first_has, second_has) if thief_first else (second_has, first_has)
    verdicts = {holder.present(secret, 900_000) for secret in order}
    assert Verdict.COPIED in verdicts


def test_a_token_two_turns_old_is_a_copy_however_soon_it_comes() -> None:
    holder = Holder()
    holder.present(holder.secrets[0], 0)
    holder.present(holder.secrets[1], 1)
    assert judge(holder.family, holder.secrets[0], 2) is Verdict.COPIED


def test_a_family_ends_with_its_time_whoever_asks() -> None:
    holder = Holder()
    assert judge(holder.family, holder.secrets[0], TTL_MS - 1) is Verdict.TURN
    assert judge(holder.family, holder.secrets[0], TTL_MS) is Verdict.ENDED
    assert judge(holder.family, "made up", TTL_MS) is Verdict.ENDED


def test_no_secret_is_kept() -> None:
    holder = Holder()
    assert holder.secrets[0] not in str(holder.family)


@pytest.mark.parametrize("text", ["", "bfr_", "bfr_x_y", "bfk_0123456789abcdef_" + "a" * 43, "bfr_" + "0" * 32 + "_é"])
def test_what_is_not_in_the_form_of_a_token_is_none(text: str) -> None:
    assert read_refresh_token(text) is None

"""Loaded by schemathesis, beside the checks of its own: what may be refused although it is of the schema's form."""

from __future__ import annotations

from typing import Any

import schemathesis

# How two fields stand to each other, what is stored, and what is in a file or a password: no schema can say it.
BEYOND_SCHEMAS = {
    *("unknown_market_data", "value_error", "invalid", "repeated", "priority_not_allowed", "idempotency_key_reused"),
    *("bad_password", "wrong_password", "no_password", "unknown_agent", "spending_limit", "private_url"),
}
# Those that a value is refused with by itself, although its code is as of two.
OF_ONE_FIELD = ("is not a date", "no time zone", "outside the years", "not allowed:", "NUL", "64 bits", "nested deeper")


@schemathesis.check
def refuses_only_what_no_schema_can_say(
    _context: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case
) -> None:
    meta = case.meta
    if response.status_code not in (400, 422) or meta is None or not meta.generation.mode.is_positive:
        return
    problem: dict[str, Any] = response.json()
    if problem["code"] == "import_refused":
        return
    assert problem["errors"], problem
    for error in problem["errors"]:
        assert error["code"] in BEYOND_SCHEMAS, error
        assert not any(words in error["message"] for words in OF_ONE_FIELD), error

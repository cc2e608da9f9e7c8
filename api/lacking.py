"""What a gateway may lack, so that it can do less than another one."""

from __future__ import annotations

from shared.errors import BackfleetError


class NotInstalled(BackfleetError):
    """What was asked for needs what is not installed here. Says what, and what else would do."""

    code = "not_installed"

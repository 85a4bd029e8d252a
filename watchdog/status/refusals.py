"""The reasons for which a form of the operator's page is refused, for translation."""

from __future__ import annotations

from shared.translation import N_
from shared.visible import RULE
from shared.web.ui.refusals import Refusals

REFUSALS = Refusals(
    N_("is needed"),
    N_("must not be empty"),
    N_("at most {n} characters"),
    RULE,
    N_(
        "must be visible text in lines: letters, marks, digits, punctuation, symbols, emoji and single spaces of any"
        " script; no control, formatting or direction characters"
    ),
    N_("must be a day and a time, such as 2026-01-31T22:00"),
    N_("must be a time such as 2026-01-31T09:00:00Z"),
    N_("must be within a year"),
    N_("must end in the future"),
    N_("must end after its begin"),
    N_("must end within 7 days of its begin"),
    N_("this open maintenance window does not exist"),
    N_("this incident does not exist"),
    N_("this channel does not exist"),
    N_("this announcement does not exist"),
    N_("this incident is over: there is nothing to acknowledge"),
    N_("KEEP_ALIVE_ENABLED is false: nothing is pinged"),
    N_("REMEDIATION is not set: there is no budget"),
)

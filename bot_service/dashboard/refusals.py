"""The reasons for which a form of the dashboard is refused, for translation."""

from __future__ import annotations

from shared.translation import N_
from shared.visible import RULE
from shared.web.ui.refusals import Refusals

REFUSALS = Refusals(
    N_("is needed"),
    N_("must have at least 1 character"),
    N_("must have at most {n} characters"),
    N_("must have at least 1 entry"),
    N_("must be one of those offered"),
    N_("must be letters, digits, - and _, at most 64, the first a letter or digit"),
    N_("must be letters, digits and ._@-, at most 64, the first a letter or digit"),
    RULE,
    N_("must be an http:// or https:// address of at most 2000 characters"),
    N_("must be a whole http or https address"),
    N_("{address} is a private address; WEBHOOK_ALLOW_PRIVATE=true allows it"),
    N_("must be one header in each line, as in Authorization: Bearer abc"),
    N_("{name} is no name of a header: letters, digits and dashes"),
    N_("{name} is set by this service"),
    N_("a session with this id exists already"),
    N_("the session is {state}: start one that has no phone yet"),
    N_("the session is {state}: a phone is unlinked while connected"),
    N_("the phone can be unlinked only while connected"),
    N_("the session is not started"),
    N_("{n} messages wait already"),
    N_("a message can only be revoked within 60 hours"),
    N_("only own messages, and in groups those of others, can be revoked"),
)

"""The rule of several watchdogs, driven by hand: what one that was blind in an outage says, shows and sends."""

from __future__ import annotations

import pytest

from tests.support.fold import Folded
from watchdog.domain.joint import PeerHeard, TargetVerdict, verdict_of
from watchdog.domain.policy import Policy
from watchdog.domain.states import Incident, IncidentKind, State
from watchdog.domain.target import Joint, View

GRACE_S = 15.0


def hears(one: Folded, view: View, peer: str = "frankfurt") -> None:
    said = TargetVerdict(view, one.now.wall_ms - 1000, "timeout")
    one.take(PeerHeard(peer, said, one.now.steady_ms))


def says(one: Folded) -> View:
    return verdict_of(one.state, one.policy, one.now).view


def incidents(one: Folded) -> tuple[list[str], list[str]]:
    """Kinds opened and closed, without those of its own blindness."""
    return _kinds(one.opened), _kinds(one.closed)


def _kinds(some: list[Incident]) -> list[str]:
    return [str(each.kind) for each in some if each.kind is not IncidentKind.BLIND]


@pytest.fixture
def blind() -> Folded:
    """Paris: of two watchdogs that agreed on DOWN, the one that then lost its whole network for longer than the grace."""
    one = Folded(Policy(peers=1, name="paris"))
    one.ok()
    hears(one, View.UP)
    one.go_down()
    hears(one, View.DOWN)
    assert (one.state.state, one.state.joint, says(one)) == (State.DOWN, Joint.DOWN, View.DOWN)
    for _ in range(3):
        one.wait(2).own_fault()
    one.wait(GRACE_S).own_fault()
    return one


def test_one_that_sees_nothing_and_hears_no_other_ends_nothing(blind: Folded) -> None:
    assert (blind.state.state, blind.state.joint, says(blind)) == (State.BLIND, Joint.UNKNOWN, View.BLIND)
    assert incidents(blind) == (["down"], [])


def test_one_that_fails_once_after_it_was_blind_has_no_vote_and_does_not_show_up(blind: Folded) -> None:
    blind.wait(2).fail()
    assert (blind.state.state, says(blind)) == (State.DOWN, View.BLIND)
    hears(blind, View.DOWN)
    assert blind.state.state is State.DOWN
    blind.wait(2).fail()
    blind.wait(2).fail()
    hears(blind, View.DOWN)
    assert (blind.state.joint, says(blind)) == (Joint.DOWN, View.DOWN)
    assert incidents(blind) == (["down"], []), "still the same outage"


def test_one_that_is_answered_after_it_was_blind_says_that_it_is_not_down(blind: Folded) -> None:
    blind.wait(2).ok()
    assert says(blind) is View.SUSPECT
    hears(blind, View.UP)
    blind.wait(2).ok()
    assert (blind.state.state, blind.state.joint) == (State.UP, Joint.UP)
    assert incidents(blind) == (["down"], ["down"])


def test_a_cut_of_a_third_one_is_no_majority_with_one_that_was_blind() -> None:
    one = Folded(Policy(peers=2, name="virginia"))
    one.ok()
    for peer in ("frankfurt", "paris"):
        hears(one, View.UP, peer)
    one.go_down()
    for peer in ("frankfurt", "paris"):
        hears(one, View.DOWN, peer)
    for _ in range(3):
        one.wait(2).own_fault()
    one.wait(GRACE_S).own_fault()
    # Its network is back: the outage is over, but now Paris is cut off from the bot.
    one.wait(2).ok()
    hears(one, View.UP, "frankfurt")
    hears(one, View.DOWN, "paris")
    assert one.state.joint is Joint.PARTIAL
    one.wait(2).fail()
    hears(one, View.DOWN, "paris")
    assert (one.state.joint, one.state.state) == (Joint.PARTIAL, State.PARTIAL), "one lost ping is no vote"
    assert incidents(one)[0] == ["down"]

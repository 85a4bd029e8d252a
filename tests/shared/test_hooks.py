"""A hook notifies its listeners in order, whatever one of them does."""

from structlog.testing import capture_logs

from shared.hooks import Hook


def test_listeners_are_notified_in_order_with_what_happened() -> None:
    changed: Hook[[str, int]] = Hook()
    seen: list[object] = []
    changed.subscribe(lambda name, count: seen.append((name, count)))
    changed.subscribe(lambda name, count: seen.append(name * count))
    changed("a", 2)
    assert seen == [("a", 2), "aa"]


def test_a_listener_that_fails_is_logged_and_harms_no_other() -> None:
    changed: Hook[[]] = Hook()
    seen: list[str] = []

    def fail() -> None:
        raise ValueError("broken")

    changed.subscribe(fail)
    changed.subscribe(lambda: seen.append("second"))
    with capture_logs() as lines:
        changed()
    assert seen == ["second"]
    assert [line["event_name"] for line in lines] == ["hook.failed"]


def test_a_listener_may_unsubscribe_while_it_is_notified() -> None:
    changed: Hook[[]] = Hook()
    seen: list[str] = []

    def once() -> None:
        seen.append("once")
        unsubscribe()

    unsubscribe = changed.subscribe(once)
    changed.subscribe(lambda: seen.append("always"))
    changed()
    changed()
    assert seen == ["once", "always", "always"]

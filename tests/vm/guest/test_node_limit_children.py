"""The tests of children on the patched kernel: its own limits, and an agent that only follows processes."""

from test_children import (  # noqa: F401
    pytestmark,
    small_pages,
    test_a_tree_of_its_own,
    test_escaped_while_no_agent_ran,
    test_every_kind_of_child,
    test_fork_storm,
    test_gunicorn,
    test_lost_messages_lead_to_a_rescan,
    test_moved_by_hand_comes_back_or_is_let_go,
    test_multiprocessing_of_python,
    test_those_that_left_before_the_agent_heard,
    test_what_is_executed_in_it_counts,
    test_without_namespaces_of_its_own,
)

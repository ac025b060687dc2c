"""What watches containers where the kernel holds the bounds and no agent is asked: tests of test_watch.py."""

from test_watch import (  # noqa: F401
    container,
    pytestmark,
    test_closed_pipes_and_what_is_refused,
    test_record_agrees_with_the_sampler,
    test_record_leaves_whole_lines_when_it_is_killed,
    test_stats_follows_who_comes_and_goes,
    test_stats_says_what_the_kernel_says,
    test_top_on_a_terminal,
    test_what_is_demoted_is_counted_and_nothing_else,
    test_what_is_promoted_is_counted,
)
